// Shows /v1/overview and follows it. The token is kept for this tab only. Whatever comes from the
// server is put in as text, never as markup.
"use strict";

const kTokenKey = "tidemark.token";
const kRetryMs = 2000;
const kValuesShown = 5;

const byId = (id) => document.getElementById(id);

// --- Words ---

function count(value) {
  return Number(value).toLocaleString("en-US");
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = Number(value);
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return (unit === 0 ? size : size.toFixed(1)) + " " + units[unit];
}

function time(value) {
  if (!value) return "";
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, 19).replace("T", " ");
}

// --- Elements ---

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const number = (value) => element("td", count(value), { class: "number" });
const text = (value) => element("td", value, { class: "text" });

function state(value) {
  const cell = element("td");
  cell.append(element("span", value, { class: "state", "data-state": value }));
  return cell;
}

function fill(table, rows, nothing) {
  const body = byId(table).tBodies[0];
  if (rows.length === 0) {
    const columns = byId(table).tHead.rows[0].cells.length;
    rows = [[element("td", nothing, { class: "none", colspan: columns })]];
  }
  body.replaceChildren(...rows.map((cells) => {
    const row = element("tr");
    row.append(...cells);
    return row;
  }));
}

// --- Parts of the page ---

function showStore(store) {
  const facts = [
    ["records", count(store.records)],
    ["deletions kept", count(store.tombstones)],
    ["newest change", count(store.sequence)],
    ["on disk", bytes(store.disk_bytes)],
    ["epoch", count(store.epoch)],
    ["writing", store.writing ? "yes" : "stopped"],
  ];
  byId("store").replaceChildren(...facts.map(([name, value]) => {
    const fact = element("div");
    fact.append(element("dt", name), element("dd", value));
    return fact;
  }));
  byId("trouble").hidden = store.writing;
  byId("trouble").textContent = "Writing has stopped: " + store.reason;
}

function showEntities(entities) {
  fill("entities", entities.map((entity) => [
    text(entity.name), text(entity.kind), number(entity.records), number(entity.tombstones),
  ]), "No entity yet.");
}

function stateOfDevice(device) {
  if (device.reset_pending) return "reset pending";
  if (device.session_open) return "in session";
  return device.owed > 0 ? "behind" : "up to date";
}

// "owner: ada, bob" of {"owner": ["ada", "bob"]}; of many values the first ones.
function seesWhere(where) {
  return Object.entries(where).map(([field, values]) => {
    const named = values.slice(0, kValuesShown).join(", ");
    const more = values.length - kValuesShown;
    return `${field}: ${named}` + (more > 0 ? ` and ${count(more)} more` : "");
  }).join("; ");
}

function sees(selection) {
  if (selection.everything) return "everything";
  if (selection.entities.length === 0) return "nothing";
  return selection.entities.map((grant) => typeof grant === "string"
    ? grant : `${grant.entity} (${seesWhere(grant.where)})`).join(", ");
}

function deviceSees(device) {
  const granted = sees(device.selection);
  return device.token_selection
    ? `${granted}; by its token no more than ${sees(device.token_selection)}` : granted;
}

function showDevices(devices) {
  const shown = devices.items.length;
  byId("devices-note").textContent = shown < devices.count
    ? `The ${count(shown)} of ${count(devices.count)} that are farthest behind.` : "";
  fill("devices", devices.items.map((device) => [
    text(device.id), state(stateOfDevice(device)), number(device.lag), number(device.owed),
    number(device.marks.unacknowledged), number(device.holding), text(deviceSees(device)),
  ]), "No device has started a session yet.");
}

function sum(upload, name) {
  return Object.values(upload.entities).reduce((total, entity) => total + entity[name], 0);
}

function showUploads(uploads) {
  fill("uploads", uploads.map((upload) => [
    text(time(upload.started_at)), state(upload.state), number(sum(upload, "pages")),
    number(sum(upload, "created")), number(sum(upload, "updated")), number(sum(upload, "deleted")),
    number(sum(upload, "rejected")), text(time(upload.ended_at)), text(upload.error),
  ]), "No upload sync yet.");
}

function scopeCard(scope) {
  const interrupted = scope.details.interrupted;
  const complete = scope.synced + scope.failed;
  const members = complete + scope.notStarted + scope.syncing + interrupted;
  const isEmpty = members === 0;  // complete from the start
  const card = element("div", undefined, { class: "scope" });
  const title = element("p");
  title.append(element("strong", scope.id),
    element("span", scope.state, { class: "state", "data-state": scope.state }));
  const bar = element("progress", undefined, {
    max: isEmpty ? 1 : members, value: isEmpty ? 1 : complete,
    "aria-label": `${scope.id}: ${complete} of ${members} complete`,
  });
  const counts = `${scope.synced} synced, ${scope.syncing} syncing, ` +
    `${scope.notStarted} not started, ${scope.failed} failed, ${interrupted} interrupted`;
  card.append(title, bar, element("small", isEmpty ? "no members" : counts));
  return card;
}

// What an overview leaves out is said: what is at work comes first, then what went wrong.
function tellHidden(note, hidden, what) {
  byId(note).textContent = hidden > 0 ? `${count(hidden)} more ${what} are not shown.` : "";
}

function showScopes(scopes) {
  byId("scopes").replaceChildren(...scopes.map(scopeCard));
}

function showStatuses(statuses) {
  fill("statuses", statuses.map((status) => [
    text(status.id), state(status.state), text(time(status.timestamp)), number(status.records),
    text(bytes(status.bytes)), text(status.error || ""),
  ]), "Nothing has synced yet.");
}

function show(overview) {
  byId("instance").textContent = overview.instance;
  showStore(overview.store);
  showEntities(overview.entities);
  showDevices(overview.devices);
  showUploads(overview.uploads);
  showScopes(overview.scopes);
  showStatuses(overview.statuses);
  tellHidden("entities-note", overview.hidden.entities, "entities");
  tellHidden("scopes-note", overview.hidden.scopes, "sync scopes");
  tellHidden("statuses-note", overview.hidden.statuses, "syncs");
  byId("overview").hidden = false;
}

function link(name, words) {
  byId("link").dataset.state = name;
  byId("link").textContent = words;
}

// --- Following ---

// Calls `take` with the data of each event, until the stream ends.
async function readEvents(stream, take) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    let end;
    while ((end = buffer.indexOf("\n\n")) >= 0) {
      const event = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      if (event.startsWith("data: ")) take(event.slice("data: ".length));
    }
  }
}

function askForToken(refusal) {
  link("waiting", "not signed in");
  byId("overview").hidden = true;
  byId("sign-in").hidden = false;
  byId("refusal").textContent = refusal;
  byId("token").focus();
}

async function follow() {
  const token = sessionStorage.getItem(kTokenKey);
  const headers = { Accept: "text/event-stream" };
  if (token) headers.Authorization = "Bearer " + token;
  const response = await fetch("/v1/overview", { headers, cache: "no-store" });
  if (response.status === 401 || response.status === 403) {
    const reason = await response.json();
    sessionStorage.removeItem(kTokenKey);
    askForToken(token ? reason.errors[0].error.message : "");
    return false;
  }
  if (!response.ok) throw new Error("the server answers " + response.status);
  byId("sign-in").hidden = true;
  await readEvents(response.body, (data) => {
    show(JSON.parse(data));
    link("live", "live");
  });
  return true;
}

async function followAlways() {
  for (;;) {
    try {
      if (!await follow()) return;
      link("lost", "the server ended the connection; trying again");
    } catch (failure) {
      link("lost", failure.message + "; trying again");
    }
    await new Promise((resolve) => setTimeout(resolve, kRetryMs));
  }
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(kTokenKey, byId("token").value.trim());
  byId("token").value = "";
  followAlways();
});

followAlways();
