"use strict";
// Shows /api/status and /api/trend, again every five seconds. All text goes through textContent: nothing is markup.

const EVERY = 5000;
const SVG = "http://www.w3.org/2000/svg";
let paused = false;

const byId = (id) => document.getElementById(id);
const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const size = (bytes) =>
  bytes === undefined ? "–" : bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${number(Math.round(bytes / 1e6))} MB`;
const moment = (text) => text.slice(0, 19).replace("T", " ");

function ago(text, now) {
  if (!text) return "–";
  const seconds = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function cell(row, content, kind) {
  const made = element("td");
  made.append(content instanceof Node ? content : element("span", content, kind));
  row.append(made);
  return made;
}

function count(row, value, kind) {
  cell(row, number(value), kind).className = "number";
}

function head(row, text) {
  const made = element("th", text);
  made.scope = "row";
  row.append(made);
  return made;
}

function explain(made, reason) {
  if (reason) made.append(element("span", reason, "why"));
}

// The values of the last hour as a small plot; what it shows is also said in words.
function plot(values, step, what) {
  const known = values ?? [];
  const wide = Math.max(known.length - 1, 20);
  const most = Math.max(...known, 1);
  const places = known.map((value, at) => `${wide - known.length + 1 + at},${19 - (value / most) * 18}`);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const latest = known.length ? known[known.length - 1] : 0;
  svg.setAttribute("aria-label", `${what} per ${step} s: now ${number(latest)}, at most ${number(known.length ? Math.max(...known) : 0)}`);
  const area = document.createElementNS(SVG, "polygon");
  if (places.length) area.setAttribute("points", [`${wide - known.length + 1},20`, ...places, `${wide},20`].join(" "));
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", places.join(" "));
  svg.append(area, line);
  return svg;
}

function fill(id, rows, draw) {
  byId(id).replaceChildren(...rows.map((one) => {
    const row = element("tr");
    draw(row, one);
    return row;
  }));
}

const label = (one) => `${one.account_name ?? one.account ?? ""} / ${one.search}`;
const total = (rows, key) => rows.reduce((sum, one) => sum + (one[key] ?? 0), 0);
const oldest = (times) => times.filter(Boolean).sort()[0];

function glance(status, now) {
  const holds = status.outputs.filter((one) => one.state !== "working").length;
  const late = status.feeds.filter((one) => one.state !== "fresh").length;
  const dead = total(status.outputs, "dead_letters");
  const least = Math.min(...status.accounts.map((one) => one.budget_remaining ?? Infinity));
  const tiles = [
    ["Feeds fresh", `${status.feeds.length - late} of ${status.feeds.length}`, late ? "bad" : "good"],
    ["Outputs working", `${status.outputs.length - holds} of ${status.outputs.length}`, holds ? "bad" : "good"],
    ["Present reached", ago(oldest(status.feeds.map((one) => one.fresh_at)), now), ""],
    ["Waiting", number(total(status.outputs, "backlog")), ""],
    ["Oldest waiting", ago(oldest(status.outputs.map((one) => one.backlog_oldest)), now), ""],
    ["Dead letters", number(dead), dead ? "bad" : ""],
    ["Requests left", least === Infinity ? "–" : number(Math.floor(least)), least < 1 ? "bad" : ""],
  ];
  byId("glance").replaceChildren(...tiles.map(([name, value, kind]) => {
    const tile = element("div");
    tile.append(element("dt", name), element("dd", value, kind));
    return tile;
  }));
}

function attention(status) {
  const said = [
    ...(status.reasons ?? []).map((one) => `${one.what} ${one.output ?? one.search ?? ""}: ${one.reason}`),
    ...(status.configuration.problems ?? []).map((one) => `the changed configuration is not in effect: ${one}`),
    ...(status.journal.gaps ?? []).map((gap) => `gap in ${gap.search}: ${gap.start} to ${gap.end} (${gap.cause})`),
  ];
  byId("reasons").hidden = said.length === 0;
  byId("reasons-list").replaceChildren(...said.map((text) => element("li", text)));
}

function feeds(status, trend, now) {
  fill("feeds", status.feeds, (row, feed) => {
    head(row, label(feed));
    explain(cell(row, feed.state, feed.state === "fresh" ? "good" : "bad"), feed.reason);
    cell(row, ago(feed.fresh_at, now));
    cell(row, ago(feed.checkpoint, now));
    count(row, feed.records);
    count(row, feed.changes);
    const past = (trend.feeds ?? []).find((one) => one.account === feed.account && one.search === feed.search);
    cell(row, plot(past?.records, trend.step_seconds, "records"));
  });
  const filling = status.feeds.filter((one) => one.backfill);
  byId("backfills-section").hidden = filling.length === 0;
  fill("backfills", filling, (row, feed) => {
    const job = feed.backfill;
    explain(head(row, label(feed)), feed.failing_sweeps.backfill);
    cell(row, moment(job.start));
    cell(row, moment(job.end));
    cell(row, moment(job.position));
    count(row, job.read);
    count(row, job.revisions);
  });
}

const KINDS = { working: "good", retrying: "warn", hold: "bad" };

function outputs(status, trend, now) {
  fill("outputs", status.outputs, (row, output) => {
    head(row, output.output);
    explain(cell(row, output.state, KINDS[output.state] ?? "bad"), output.reason);
    cell(row, ago(output.newest_event, now));
    count(row, output.sent);
    count(row, output.backlog);
    cell(row, ago(output.backlog_oldest, now));
    count(row, output.dead_letters, output.dead_letters ? "bad" : "");
    const past = (trend.outputs ?? []).find((one) => one.output === output.output);
    cell(row, plot(past?.events, trend.step_seconds, "events"));
    cell(row, plot(past?.backlog, trend.step_seconds, "waiting, looked at"));
  });
}

function rest(status, now) {
  fill("accounts", status.accounts, (row, account) => {
    head(row, account.name ?? account.account);
    count(row, account.budget_remaining === null ? null : Math.floor(account.budget_remaining));
    cell(row, account.rate_limited_until ?? "–", account.rate_limited_until ? "bad" : "");
    const skew = account.clock_skew_seconds;
    cell(row, skew === null ? "–" : `${skew.toFixed(1)} s`).className = "number";
  });
  const troubles = status.troubles ?? [];
  byId("untroubled").hidden = troubles.length > 0;
  byId("troubles-table").hidden = troubles.length === 0;
  fill("troubles", troubles, (row, one) => {
    cell(row, ago(one.last, now));
    cell(row, one.level, one.level === "error" ? "bad" : "warn");
    cell(row, one.output ?? one.search ?? one.worker ?? "connector");
    explain(cell(row, one.event.replaceAll("_", " ")), one.text);
    count(row, one.count);
  });
}

function show(status, trend) {
  const now = Date.parse(status.time);
  const verdict = byId("verdict");
  const said = status.ready ? "ready" : "not ready";
  if (verdict.textContent !== said) verdict.textContent = said; // a screen reader speaks only of changes
  verdict.className = status.ready ? "good" : "bad";
  byId("facts").textContent =
    `started ${ago(status.started, now)} · ${number(status.journal.head)} revisions journaled · journal ${size(status.journal.bytes)}`;
  byId("versions").textContent =
    `connector ${status.version} · Python ${status.python} · SQLite ${status.sqlite || "–"} · configuration of ${moment(status.configuration.at)} UTC`;
  attention(status);
  glance(status, now);
  feeds(status, trend, now);
  outputs(status, trend, now);
  rest(status, now);
}

async function look() {
  try {
    const asked = ["api/status", "api/trend"].map((path) => fetch(path, { cache: "no-store" }));
    const [status, trend] = await Promise.all((await Promise.all(asked)).map((answer) => answer.json()));
    if (!paused && status.time) show(status, trend);
  } catch (error) {
    byId("verdict").textContent = "the connector does not answer";
    byId("verdict").className = "bad";
  }
  setTimeout(look, EVERY);
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Resume updates" : "Pause updates";
});

look();
