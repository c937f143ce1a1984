"use strict";
// Shows /api/status, again every five seconds. All text goes through textContent: nothing is markup.

const EVERY = 5000;
const KEPT = 60;
const history = new Map();

const byId = (id) => document.getElementById(id);
const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));

function age(text) {
  if (!text) return "–";
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

function cell(row, content, kind) {
  const made = document.createElement("td");
  if (content instanceof Node) made.append(content);
  else {
    const text = document.createElement("span");
    text.textContent = content;
    if (kind) text.className = kind;
    made.append(text);
  }
  row.append(made);
  return made;
}

function explain(made, reason) {
  if (!reason) return;
  const why = document.createElement("span");
  why.className = "why";
  why.textContent = reason;
  made.append(why);
}

// How much a counter grew per second between the looks so far, as a small plot.
function plot(key, total) {
  const now = Date.now();
  const looks = history.get(key) ?? [];
  looks.push([now, total ?? 0]);
  if (looks.length > KEPT) looks.shift();
  history.set(key, looks);
  const rates = looks.slice(1).map(([at, value], index) => {
    const [before, earlier] = looks[index];
    return Math.max(0, (value - earlier) / Math.max(0.001, (at - before) / 1000));
  });
  const most = Math.max(...rates, 1);
  const points = rates.map((rate, index) => `${(index * 100) / KEPT},${19 - (rate / most) * 18}`);
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const latest = rates.length ? rates[rates.length - 1] : 0;
  svg.setAttribute("aria-label", `now ${latest.toFixed(1)} per second, at most ${most.toFixed(1)}`);
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function fill(id, rows, draw) {
  byId(id).replaceChildren(...rows.map((one) => {
    const row = document.createElement("tr");
    draw(row, one);
    return row;
  }));
}

function show(status) {
  const verdict = byId("verdict");
  verdict.textContent = status.ready ? "ready" : "not ready";
  verdict.className = status.ready ? "good" : "bad";
  byId("facts").textContent =
    `version ${status.version}, started ${age(status.started)}, ${number(status.journal.head)} revisions so far, ` +
    `journal ${number(status.journal.bytes)} bytes`;
  const reasons = (status.reasons ?? []).map((one) => {
    const item = document.createElement("li");
    item.textContent = `${one.what} ${one.output ?? one.search ?? ""}: ${one.reason}`;
    return item;
  });
  const gaps = (status.journal.gaps ?? []).map((gap) => {
    const item = document.createElement("li");
    item.textContent = `gap in ${gap.search}: ${gap.start} to ${gap.end} (${gap.cause})`;
    return item;
  });
  byId("reasons").hidden = reasons.length + gaps.length === 0;
  byId("reasons-list").replaceChildren(...reasons, ...gaps);
  fill("feeds", status.feeds, (row, feed) => {
    cell(row, feed.account_name ?? feed.account);
    cell(row, feed.search);
    explain(cell(row, feed.state, feed.state === "fresh" ? "good" : "bad"), feed.reason);
    cell(row, age(feed.checkpoint));
    cell(row, number(feed.records));
    cell(row, number(feed.changes));
    cell(row, plot(`feed ${feed.account} ${feed.search}`, feed.records + feed.changes));
  });
  fill("outputs", status.outputs, (row, output) => {
    cell(row, output.output);
    explain(cell(row, output.state, output.state === "working" ? "good" : "bad"), output.reason);
    cell(row, number(output.sent));
    cell(row, number(output.backlog));
    cell(row, age(output.backlog_oldest));
    cell(row, number(output.dead_letters), output.dead_letters ? "bad" : "");
    cell(row, plot(`output ${output.output}`, output.sent));
  });
  fill("accounts", status.accounts, (row, account) => {
    cell(row, account.name ?? account.account);
    cell(row, account.budget_left === null ? "–" : number(Math.floor(account.budget_left)));
    cell(row, account.rate_limited_until ?? "–", account.rate_limited_until ? "bad" : "");
    cell(row, account.clock_skew_seconds === null ? "–" : `${account.clock_skew_seconds.toFixed(1)} s`);
  });
}

async function look() {
  try {
    const answer = await fetch("api/status", { cache: "no-store" });
    show(await answer.json());
  } catch (error) {
    const verdict = byId("verdict");
    verdict.textContent = "the connector does not answer";
    verdict.className = "bad";
  }
  setTimeout(look, EVERY);
}

look();
