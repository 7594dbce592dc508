// The list of a plan's changes: searched, filtered, a page at a time, so that thousands of them never stand in the
// page at once. Everything that comes from data goes in as text (textContent), never as HTML.
(() => {
  "use strict";
  const PER_PAGE = 50;
  const FIELDS = 12; // of one change, until the rest is asked for
  const LONGEST = 400; // letters of one value, until the rest is asked for
  const QUIET_MS = 120; // after the last key
  const ODD = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]|^ +| +$/g;
  const COLOURS = {
    create: "green", associate: "green", update: "amber", disassociate: "amber", archive: "red", merge: "red",
    rejected: "red", failed: "red", conflict: "amber", moved: "amber", done: "green",
  };
  const SIGNS = { create: "+", update: "~", archive: "−", merge: "&", associate: "→", disassociate: "←" };
  const OUTCOMES = { left_out: "left out", settled: "conflict, settled by a setting" };

  const byId = (id) => document.getElementById(id);
  const entries = [];
  for (const block of document.querySelectorAll('script[type="application/json"]')) {
    for (const entry of JSON.parse(block.textContent)) entries.push(entry);
    block.remove();
  }
  const plans = [...document.querySelectorAll("section.plan")].map((each) => each.dataset.mapping);
  const search = byId("search");
  const filters = { action: byId("action"), outcome: byId("outcome"), property: byId("property"), plan: byId("mapping") };
  let found = entries;
  let page = 0;

  function make(name, options = {}, ...inside) {
    const made = document.createElement(name);
    const { of, ...rest } = options;
    Object.assign(made, rest);
    for (const [key, value] of Object.entries(of || {})) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  }

  const propertiesOf = (entry) => (entry.f || []).map((field) => field[0]).concat(entry.q && entry.q[0] ? [entry.q[0]] : []);
  const outcomeOf = (outcome) => OUTCOMES[outcome] || outcome;

  // What is searched, made when it is first wanted.
  function textOf(entry) {
    if (entry.text === undefined) {
      const parts = [entry.k, entry.i, entry.e, entry.t, entry.x, entry.r];
      for (const field of entry.f || []) parts.push(...field);
      if (entry.q) parts.push(...entry.q);
      entry.text = parts.filter((part) => typeof part === "string").join("\n").toLowerCase();
    }
    return entry.text;
  }

  const wordsOf = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);

  function fits(entry, words) {
    const { action, outcome, property, plan } = filters;
    if (action.value && entry.a !== action.value) return false;
    if (outcome.value && entry.o !== outcome.value) return false;
    if (plan.value && String(entry.m) !== plan.value) return false;
    if (property.value && !propertiesOf(entry).includes(property.value)) return false;
    return words.every((word) => textOf(entry).includes(word));
  }

  // Put a text in: what cannot be seen as its code, what was searched for marked, the part that differs tinted.
  function write(into, text, words, differs) {
    const pieces = [];
    const [start, end, name] = differs || [0, 0, ""];
    if (start < end && !words.length) {
      pieces.push([text.slice(0, start), ""], [text.slice(start, end), name], [text.slice(end), ""]);
    } else {
      const lower = text.toLowerCase();
      const usable = lower.length === text.length ? words : []; // some letters change their length
      let at = 0;
      while (at < text.length) {
        let next = text.length;
        let length = 0;
        for (const word of usable) {
          const place = lower.indexOf(word, at);
          if (place >= 0 && place < next) [next, length] = [place, word.length];
        }
        pieces.push([text.slice(at, next), ""]);
        if (length) pieces.push([text.slice(next, next + length), "mark"]);
        at = next + length;
      }
    }
    pieces.forEach(([piece, name], number) => {
      if (!piece) return;
      const inside = name ? into.appendChild(document.createElement(name)) : into;
      writeOdd(inside, piece, number === 0, number === pieces.length - 1);
    });
  }

  function writeOdd(into, text, isFirst, isLast) {
    let at = 0;
    for (const match of text.matchAll(ODD)) {
      const odd = match[0];
      const isBlank = odd[0] === " ";
      if (isBlank && !((isFirst && match.index === 0) || (isLast && match.index + odd.length === text.length))) continue;
      into.append(text.slice(at, match.index));
      const shown = isBlank ? "·".repeat(odd.length) : "\\u" + odd.charCodeAt(0).toString(16).padStart(4, "0");
      into.append(make("span", { className: "odd" }, odd === "\t" ? "\\t" : odd === "\r" ? "\\r" : shown));
      at = match.index + odd.length;
    }
    into.append(text.slice(at));
  }

  // Where two texts differ: [start, end of one, end of the other].
  function difference(one, other) {
    const most = Math.min(one.length, other.length);
    let start = 0;
    while (start < most && one[start] === other[start]) start++;
    let same = 0;
    while (same < most - start && one[one.length - 1 - same] === other[other.length - 1 - same]) same++;
    return [start, one.length - same, other.length - same];
  }

  function valueCell(value, words, differs) {
    const cell = make("td");
    if (value === null || value === undefined) {
      cell.append(make("span", { className: "none" }, value === null ? "blank" : ""));
      return cell;
    }
    const shown = cell.appendChild(make("span", { className: "value", dir: "auto" }));
    if (value === "") shown.append(make("span", { className: "none" }, "empty"));
    if (value.length <= LONGEST) {
      write(shown, value, words, differs);
      return cell;
    }
    const hit = words.length ? value.toLowerCase().indexOf(words[0]) : differs ? differs[0] : 0;
    const start = hit > LONGEST - 60 ? hit - 60 : 0;
    shown.append(start ? "…" : "");
    const cut = differs && [Math.max(0, differs[0] - start), Math.min(LONGEST, differs[1] - start), differs[2]];
    write(shown, value.slice(start, start + LONGEST), words, cut);
    shown.append(start + LONGEST < value.length ? "…" : "");
    const more = make("button", { type: "button", className: "more" }, `all ${value.length.toLocaleString("en")} letters`);
    more.addEventListener("click", () => {
      shown.replaceChildren();
      write(shown, value, words, differs);
      more.remove();
    });
    cell.append(more);
    return cell;
  }

  function fieldRow([name, before, after, setting], words) {
    const head = make("th", { scope: "row" });
    write(head, name, words);
    const both = typeof before === "string" && typeof after === "string" && before && after;
    const [start, endBefore, endAfter] = both ? difference(before, after) : [0, 0, 0];
    const parts = both && start + (before.length - endBefore) > 2; // else nearly everything differs: no tint
    const by = make("td", { className: "by" });
    write(by, setting || "", words);
    return make(
      "tr", {}, head,
      valueCell(before, words, parts ? [start, endBefore, "del"] : null),
      valueCell(after, words, parts ? [start, endAfter, "ins"] : null), by,
    );
  }

  function table(heads, rows, caption) {
    const columns = make("colgroup", {}, make("col", { className: "name" }));
    for (const _ of heads.slice(1, 3)) columns.append(make("col", { className: "side" }));
    columns.append(make("col"));
    const cells = heads.map((text) => make("th", { scope: "col" }, make("span", {}, text)));
    const body = make("tbody", {}, ...rows);
    return make("table", { className: heads[1] === "before" ? "fields" : "" }, make("caption", { className: "unseen" }, caption), columns,
      make("thead", {}, make("tr", {}, ...cells)), body);
  }

  function fieldsOf(entry, words) {
    const hits = (field) => words.some((word) => field.some((part) => part && part.toLowerCase().includes(word)));
    const wanted = filters.property.value;
    const ranked = entry.f.length <= FIELDS ? entry.f : [
      ...entry.f.filter((field) => field[0] === wanted || hits(field)),
      ...entry.f.filter((field) => !(field[0] === wanted || hits(field))),
    ];
    const made = table(["property", "before", "after", "decided by"],
      ranked.slice(0, FIELDS).map((field) => fieldRow(field, words)), `what ${entry.a} writes`);
    if (ranked.length <= FIELDS) return [made];
    const more = make("button", { type: "button", className: "more" }, `${ranked.length - FIELDS} more properties`);
    more.addEventListener("click", () => {
      made.tBodies[0].append(...ranked.slice(FIELDS).map((field) => fieldRow(field, words)));
      more.closest("p").remove();
    });
    return [made, make("p", {}, more)];
  }

  function problemOf(entry, words) {
    const [field, ours, theirs, agreed, setting, names = ["here", "there", "last agreed"]] = entry.q;
    const head = make("th", { scope: "row" });
    write(head, field || "the whole row", words);
    const isReject = entry.o === "rejected";
    if (isReject && ours === null) return [];
    if (!isReject && !field) return [];
    const last = isReject ? make("td") : agreed === undefined || agreed === 0 ? make("td", { className: "none" }, "never") : valueCell(agreed, words);
    if (setting) last.append(make("div", { className: "by" }, setting));
    const row = make("tr", {}, head, valueCell(ours, words), isReject ? make("td") : valueCell(theirs, words), last);
    return [table(["field", names[0], isReject ? "" : names[1], isReject ? "" : names[2]], [row], "what stands on either side")];
  }

  function item(entry, words) {
    const header = make("header");
    const action = entry.a || outcomeOf(entry.o);
    const tag = make("span", { className: `tag ${COLOURS[entry.a || entry.o] || ""}` });
    if (SIGNS[entry.a]) tag.append(make("span", { of: { "aria-hidden": "true" } }, SIGNS[entry.a] + " "));
    tag.append(action);
    const name = make("h3");
    if (entry.k) write(name.appendChild(make("span", { className: "value", dir: "auto" })), entry.k, words);
    else name.append(make("span", { className: "none" }, "no key"));
    header.append(tag, name);
    if (entry.i && entry.i !== entry.k) {
      const id = header.appendChild(make("span", { className: "dim mono" }));
      write(id, entry.i, words);
    }
    if (entry.a && entry.o !== "planned") {
      header.append(make("span", { className: `tag ${COLOURS[entry.o] || ""}` }, outcomeOf(entry.o)));
    }
    if (plans.length > 1) header.append(make("span", { className: "dim" }, plans[entry.m]));
    const numbers = entry.n ? `#${entry.n}` + (entry.p ? `, after ${entry.p.map((each) => "#" + each).join(", ")}` : "") : "";
    header.append(make("span", { className: "dim number" }, numbers));
    const made = make("li", { className: "entry" }, header);
    const lines = [entry.e && `${SIGNS[entry.a] || ""} ${entry.e}, ${entry.t}`, entry.x && `into ${entry.x}`, entry.r];
    if (!entry.f && entry.q && entry.q[0] && entry.o !== "settled" && entry.q[1] === null) lines[2] = `${entry.q[0]}: ${entry.r}`;
    for (const line of lines.filter(Boolean)) write(made.appendChild(make("p")), line, words);
    if (entry.f && entry.f.length) made.append(...fieldsOf(entry, words));
    if (entry.q) made.append(...problemOf(entry, words));
    return made;
  }

  function draw() {
    const words = wordsOf();
    const last = Math.max(0, Math.ceil(found.length / PER_PAGE) - 1);
    page = Math.min(Math.max(0, page), last);
    const shown = found.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    byId("list").replaceChildren(...shown.map((entry) => item(entry, words)));
    byId("none").hidden = found.length > 0;
    const number = (value) => value.toLocaleString("en");
    const first = page * PER_PAGE;
    const of = found.length === entries.length ? "" : ` (of ${number(entries.length)} in all)`;
    byId("where").textContent = found.length
      ? `${number(first + 1)}–${number(first + shown.length)} of ${number(found.length)}${of}`
      : `none of ${number(entries.length)}`;
    byId("where-below").textContent = `page ${number(page + 1)} of ${number(last + 1)}`;
    for (const each of document.querySelectorAll("[data-turn]")) {
      each.disabled = each.dataset.turn === "-1" ? page === 0 : page === last;
    }
    byId("clear").disabled = !search.value && Object.values(filters).every((filter) => !filter.value);
  }

  function look() {
    const words = wordsOf();
    found = entries.filter((entry) => fits(entry, words));
    page = 0;
    draw();
  }

  function fill(select, counted, name) {
    for (const [value, count] of counted) {
      select.append(make("option", { value }, `${name(value)} (${count.toLocaleString("en")})`));
    }
    select.closest("label").hidden = counted.length < 2;
  }

  function count(valuesOf) {
    const counted = new Map();
    for (const entry of entries) {
      for (const value of new Set(valuesOf(entry))) if (value !== "") counted.set(value, (counted.get(value) || 0) + 1);
    }
    return [...counted].sort((one, other) => (String(one[0]) < String(other[0]) ? -1 : 1));
  }

  fill(filters.action, count((entry) => [entry.a || ""]), (value) => value);
  fill(filters.outcome, count((entry) => [entry.o]), outcomeOf);
  fill(filters.property, count(propertiesOf), (value) => value);
  fill(filters.plan, count((entry) => [entry.m]), (value) => plans[value]);
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, QUIET_MS);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !search.value) return;
    search.value = "";
    look();
  });
  for (const filter of Object.values(filters)) filter.addEventListener("change", look);
  byId("clear").addEventListener("click", () => {
    search.value = "";
    for (const filter of Object.values(filters)) filter.value = "";
    look();
    search.focus();
  });
  for (const each of document.querySelectorAll("[data-turn]")) {
    each.addEventListener("click", () => {
      page += Number(each.dataset.turn);
      draw();
      byId("changes").scrollIntoView();
      byId("changes-head").focus({ preventScroll: true });
    });
  }
  byId("changes").hidden = entries.length === 0;
  draw();
})();
