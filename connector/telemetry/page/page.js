"use strict";
// Shows /api/status and /api/trend, refreshed every five seconds. All text goes through textContent: nothing is markup.

const EVERY = 5000;
const PATIENCE = 10000; // after that an answer counts as missing
const ROWS = 50; // feeds shown at once; failing ones come first
const NAMES = 5; // names listed for a reason that many share
const SVG = "http://www.w3.org/2000/svg";
let paused = false;
let everyFeed = false;
let latest; // the last status and trend, for redrawing and for saying how old they are

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

function until(text, now) {
  if (!text) return "";
  const seconds = Math.round((Date.parse(text) - now) / 1000);
  if (seconds <= 0) return "next attempt now";
  if (seconds < 120) return `next attempt in ${seconds} s`;
  if (seconds < 7200) return `next attempt in ${Math.round(seconds / 60)} min`;
  return `next attempt at ${moment(text)} UTC`;
}

function element(name, text, kind) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function cell(row, content, kind) {
  const node = element("td");
  node.append(content instanceof Node ? content : element("span", content, kind));
  row.append(node);
  return node;
}

function count(row, value, kind) {
  const node = cell(row, number(value), kind);
  node.className = "number";
  return node;
}

function head(row, text) {
  const node = element("th", text);
  node.scope = "row";
  row.append(node);
  return node;
}

function explain(node, ...reasons) {
  for (const reason of reasons.filter(Boolean)) node.append(element("span", reason, "why"));
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

// Rows of a table; each cell carries its column's name, which a phone shows beside the value.
function fill(id, rows, draw) {
  const body = byId(id);
  const labels = [...body.closest("table").querySelectorAll("thead th")].map((th) => th.textContent);
  body.replaceChildren(...rows.map((item) => {
    const row = element("tr");
    draw(row, item);
    [...row.children].forEach((node, at) => { node.dataset.label = labels[at]; });
    return row;
  }));
}

const label = (item) => `${item.account_name ?? item.account ?? ""} / ${item.search}`;
const subject = (item) => item.output ?? (item.search ? label(item) : item.account_name ?? item.account ?? item.worker ?? "connector");
const total = (rows, key) => rows.reduce((sum, row) => sum + (row[key] ?? 0), 0);
const oldest = (times) => times.filter(Boolean).sort()[0];
const failingFirst = (good) => (one, other) => (one.state === good) - (other.state === good);

function glance(status, now) {
  const broken = status.outputs.filter((output) => !["working", "standby"].includes(output.state)).length;
  const late = status.feeds.filter((feed) => !["fresh", "standby"].includes(feed.state)).length;
  const dead = total(status.outputs, "dead_letters");
  const least = Math.min(...status.accounts.map((account) => account.budget_remaining ?? Infinity));
  const tiles = [
    ["Feeds fresh", `${status.feeds.length - late} of ${status.feeds.length}`, late ? "bad" : "good"],
    ["Outputs working", `${status.outputs.length - broken} of ${status.outputs.length}`, broken ? "bad" : "good"],
    ["All feeds caught up", ago(oldest(status.feeds.map((feed) => feed.fresh_at)), now), ""],
    ["Waiting", number(total(status.outputs, "backlog")), ""],
    ["Oldest waiting", ago(oldest(status.outputs.map((output) => output.backlog_oldest)), now), ""],
    ["Dead letters", number(dead), dead ? "bad" : ""],
    ["Requests left", least === Infinity ? "–" : number(Math.floor(least)), least < 1 ? "bad" : ""],
  ];
  byId("glance").replaceChildren(...tiles.map(([name, value, kind]) => {
    const tile = element("div");
    tile.append(element("dt", name), element("dd", value, kind));
    return tile;
  }));
}

// Numbers differ between feeds that fail for the same reason.
const sameReason = (reason) => reason.replace(/\d+ attempts/, "# attempts").replace(/reached \S+ ago/, "reached # ago");

function grouped(reasons, now) {
  const groups = new Map();
  for (const item of reasons) {
    const key = JSON.stringify([item.what, sameReason(item.reason)]);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()].map((items) => {
    const names = items.map(subject);
    const one = items[0];
    const next = until(oldest(items.map((item) => item.next_attempt)), now);
    const tail = `${one.reason}${next ? ` (${next})` : ""}`;
    if (one.what === "process") return element("li", tail);
    if (names.length === 1) return element("li", `${one.what} ${names[0]}: ${tail}`);
    const entry = element("li", `${names.length} ${one.what}s: ${tail}: `);
    entry.append(names.slice(0, NAMES).join(", "));
    if (names.length > NAMES) {
      const details = element("details");
      details.append(element("summary", ` and ${names.length - NAMES} more`), names.slice(NAMES).join(", "));
      entry.append(details);
    }
    return entry;
  });
}

function attention(status, now) {
  const feeds = new Map(status.feeds.map((feed) => [`${feed.account}/${feed.search}`, label(feed)]));
  const gaps = (status.journal.gaps ?? []).map((gap) => {
    const name = feeds.get(`${gap.account}/${gap.search}`) ?? label(gap);
    return element("li", `gap in ${name}: ${moment(gap.start)} to ${moment(gap.end)} UTC (${gap.cause})`);
  });
  const entries = [
    ...grouped(status.reasons ?? [], now),
    ...grouped(status.notices ?? [], now),
    ...(status.configuration.problems ?? []).map((text) => element("li", `the new configuration is not in effect: ${text}`)),
    ...gaps,
  ];
  const open = new Set([...byId("reasons-list").querySelectorAll("details[open]")].map((node) => node.parentNode.textContent));
  byId("reasons").hidden = entries.length === 0;
  byId("reasons-list").replaceChildren(...entries);
  for (const details of byId("reasons-list").querySelectorAll("details")) details.open = open.has(details.parentNode.textContent);
}

function feeds(status, trend, now) {
  const wanted = byId("feeds-filter").value.trim().toLowerCase();
  const text = (feed) => `${label(feed)} ${feed.account} ${feed.state}`.toLowerCase();
  const matching = status.feeds.filter((feed) => text(feed).includes(wanted)).sort(failingFirst("fresh"));
  const shown = everyFeed ? matching : matching.slice(0, ROWS);
  byId("feeds-tools").hidden = status.feeds.length <= 10;
  byId("feeds-all").hidden = shown.length === matching.length;
  byId("feeds-shown").textContent = `${shown.length} of ${status.feeds.length}`;
  const past = new Map((trend.feeds ?? []).map((feed) => [`${feed.account}/${feed.search}`, feed.records]));
  fill("feeds", shown, (row, feed) => {
    head(row, label(feed));
    const state = cell(row, feed.state, feed.state === "fresh" ? "good" : feed.state === "standby" ? "" : "bad");
    explain(state, feed.state === "standby" && elsewhere(feed));
    explain(state, feed.reason, feed.reason && until(feed.next_attempt, now));
    cell(row, ago(feed.fresh_at, now));
    cell(row, ago(feed.checkpoint, now));
    count(row, feed.records);
    count(row, feed.changes);
    cell(row, plot(past.get(`${feed.account}/${feed.search}`), trend.step_seconds, "records"));
  });
  const filling = status.feeds.filter((feed) => feed.backfill);
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

function replicas(status, now) {
  const live = status.replicas ?? [];
  byId("replicas-section").hidden = live.length === 0;
  fill("replicas", live, (row, replica) => {
    head(row, `${replica.host}:${replica.process}${replica.this ? " (this one)" : ""}`);
    cell(row, replica.version);
    cell(row, ago(new Date(now - replica.age_seconds * 1000).toISOString(), now));
    cell(row, replica.leases.map((lease) => lease.lease).join(", ") || "nothing");
  });
}

const KINDS = { working: "good", retrying: "warn", held: "bad", standby: "" };
const elsewhere = (item) => (item.replica ? `done by ${item.replica}` : "no replica does it yet");

function outputs(status, trend, now) {
  const past = new Map((trend.outputs ?? []).map((output) => [output.output, output]));
  fill("outputs", [...status.outputs].sort(failingFirst("working")), (row, output) => {
    head(row, output.output);
    explain(cell(row, output.state, KINDS[output.state] ?? "bad"), output.state === "standby" && elsewhere(output), output.reason, output.reason && until(output.next_attempt, now));
    cell(row, ago(output.newest_event, now));
    count(row, output.sent);
    const reasons = Object.entries(output.filtered_by ?? {}).map(([reason, events]) => `${reason}: ${number(events)}`);
    explain(count(row, output.filtered), reasons.join(", "));
    count(row, output.backlog);
    cell(row, ago(output.backlog_oldest, now));
    count(row, output.dead_letters, output.dead_letters ? "bad" : "");
    cell(row, plot(past.get(output.output)?.events, trend.step_seconds, "events"));
    cell(row, plot(past.get(output.output)?.backlog, trend.step_seconds, "events waiting, sampled"));
  });
}

function rest(status, now) {
  fill("accounts", status.accounts, (row, account) => {
    head(row, account.name ?? account.account);
    count(row, account.budget_remaining === null ? null : Math.floor(account.budget_remaining));
    const limited = account.rate_limited_until;
    cell(row, limited ? `until ${moment(limited)} UTC` : "–", limited ? "bad" : "");
    const skew = account.clock_skew_seconds;
    cell(row, skew === null ? "–" : `${skew.toFixed(1)} s`).className = "number";
  });
  const problems = status.recent_problems ?? [];
  byId("no-problems").hidden = problems.length > 0;
  byId("problems-table").hidden = problems.length === 0;
  fill("problems", problems, (row, problem) => {
    cell(row, ago(problem.last, now));
    cell(row, problem.level, problem.level === "error" ? "bad" : "warn");
    cell(row, subject(problem) + (problem.others ? ` and ${number(problem.others)} more` : ""));
    explain(cell(row, problem.event.replaceAll("_", " ")), problem.text);
    count(row, problem.count);
  });
}

function verdict(text, kind) {
  const node = byId("verdict");
  if (node.textContent !== text) node.textContent = text; // a screen reader reads only changes
  node.className = kind;
}

function show({ status, trend }) {
  const now = Date.parse(status.time);
  document.body.classList.remove("stale");
  verdict(status.ready ? "ready" : "not ready", status.ready ? "good" : "bad");
  byId("facts").textContent =
    `started ${ago(status.started, now)} · ${number(status.journal.head)} revisions in the journal · journal ${size(status.journal.bytes)}`;
  byId("versions").textContent =
    `connector ${status.version} · Python ${status.python} · SQLite ${status.sqlite || "–"} · configuration of ${moment(status.configuration.at)} UTC`;
  attention(status, now);
  glance(status, now);
  outputs(status, trend, now);
  feeds(status, trend, now);
  replicas(status, now);
  rest(status, now);
}

// Old figures must not look like current ones: they are greyed out, with their time.
function stale() {
  document.body.classList.add("stale");
  verdict(`the connector does not answer${latest ? `; as of ${moment(latest.status.time)} UTC` : ""}`, "bad");
}

async function refresh() {
  try {
    const answers = ["api/status", "api/trend"].map(async (path) => {
      const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      return answer.json();
    });
    const [status, trend] = await Promise.all(answers);
    if (!paused && status.time) {
      latest = { status, trend };
      show(latest);
    }
  } catch (error) {
    stale();
  }
  setTimeout(refresh, EVERY);
}

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Resume updates" : "Pause updates";
});
byId("feeds-filter").addEventListener("input", () => latest && show(latest));
byId("feeds-all").addEventListener("click", () => {
  everyFeed = true;
  if (latest) show(latest);
});

refresh();
