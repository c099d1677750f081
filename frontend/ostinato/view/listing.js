// The text of a step, alone or with what changed since the step before.

const LONGEST = 360;
const CHUNK = 60;
const CONTEXT = 3;

const TOKEN = new RegExp(
  [
    String.raw`(?<value>%[\w$.-]+(?:#\d+)?)`,
    String.raw`(?<string>"(?:[^"\\]|\\.)*")`,
    String.raw`(?<type>\b(?:tensor|memref|array)<[^\s>]*(?:<[^>]*>)?[^\s>]*>|![\w.]+(?:<[^>]*>)?)`,
    String.raw`(?<map>affine_map<.*?>(?=\())`,
    String.raw`(?<symbol>@[\w$.-]+)`,
    String.raw`(?<op>(?<=^\s*|= )[a-z]+\.[a-z_0-9]+)`,
    String.raw`(?<number>-?\b\d[\w.+-]*)`,
  ].join("|"),
  "g",
);

/** A line as HTML with its tokens marked; what is too long is cut. */
function marked(line) {
  const cut = line.length > LONGEST ? line.slice(0, LONGEST) : line;
  let html = "";
  let next = 0;
  for (const found of cut.matchAll(TOKEN)) {
    const [kind] = Object.entries(found.groups).find(([, text]) => text !== undefined);
    html += escaped(cut.slice(next, found.index));
    html += `<span class="${kind}">${escaped(found[0])}</span>`;
    next = found.index + found[0].length;
  }
  const rest = line.length - cut.length;
  const more = rest ? `<span class="more"> … ${rest.toLocaleString("en")} more</span>` : "";
  return html + escaped(cut.slice(next)) + more;
}

/** `models.py:63 +2`: where an op comes from. */
function tag(op) {
  if (!op?.lines.length) return "";
  const more = op.lines.length > 1 ? ` <small>+${op.lines.length - 1}</small>` : "";
  return escaped(region().lineName(op.lines[0])) + more;
}

function row(kind, line, number) {
  const from = kind === "old" ? region().steps[step().before] : step();
  const op = kind === "old" ? null : step().ops[number];
  const starts = op && op.first === line;
  const id = starts ? ` id="op-${number}" role="option" aria-selected="false"` : "";
  return (
    `<div class="row ${kind}" data-op="${number}"${id}>` +
    `<span class="tag">${starts ? tag(op) : ""}</span>` +
    `<span class="gutter">${line + 1}</span><code>${marked(from.line(line))}</code></div>`
  );
}

/** Rows in pieces that the browser lays out only when they come into sight. */
function chunks(htmlOfRows) {
  let html = "";
  for (let i = 0; i < htmlOfRows.length; i += CHUNK) {
    const rows = htmlOfRows.slice(i, i + CHUNK);
    html += `<div class="chunk" role="presentation" style="--rows:${rows.length}">`;
    html += `${rows.join("")}</div>`;
  }
  return html;
}

/** Rows near a change; what is between is one row that says how much it leaves out. */
function nearChanges(rows) {
  const near = new Uint8Array(rows.length);
  rows.forEach(([kind], i) => {
    if (kind !== "same") near.fill(1, Math.max(i - CONTEXT, 0), i + CONTEXT + 1);
  });
  const html = [];
  for (let i = 0; i < rows.length; i += 1) {
    let end = i;
    while (end < rows.length && !near[end]) end += 1;
    if (end > i) html.push(`<div class="row gap">${end - i} lines as before</div>`);
    if (end < rows.length) html.push(row(...rows[end]));
    i = end;
  }
  return html;
}

function drawListing() {
  const box = at("ir");
  box.hidden = state.view !== "ir" && state.view !== "changes";
  if (box.hidden) return;
  const rows = step().rows();
  const html =
    state.view === "changes"
      ? nearChanges(rows)
      : rows.filter(([kind]) => kind !== "old").map(([, line, op]) => row("same", line, op));
  box.innerHTML = chunks(html);
  box.scrollTop = 0;
  if (state.op < 0 && state.view === "ir") {
    const main = step().functions.find((op) => op.name === "func.func");
    if (main) at(`op-${main.number}`)?.scrollIntoView({ block: "start" });
  }
  markRows();
}

/** Marks the selected op, and those of the same source lines. */
function markRows() {
  const box = at("ir");
  for (const old of box.querySelectorAll(".selected, .kin")) {
    old.classList.remove("selected", "kin");
    if (old.hasAttribute("aria-selected")) old.setAttribute("aria-selected", "false");
  }
  const op = selected();
  for (const number of kin()) at(`op-${number}`)?.classList.add("kin");
  const chosen = op && at(`op-${op.number}`);
  box.setAttribute("aria-activedescendant", chosen ? chosen.id : "");
  if (!chosen) return;
  chosen.classList.add("selected");
  chosen.setAttribute("aria-selected", "true");
  reveal(chosen, box);
}

/** The value that a token of a row names. */
function valueOf(token) {
  const op = step().ops[Number(token.closest(".row").dataset.op)];
  const name = token.textContent.slice(1);
  return [...op.defines, ...op.operands].find((value) => step().valueName(value) === name) ?? -1;
}

function light(token) {
  for (const old of at("ir").querySelectorAll(".lit")) old.classList.remove("lit");
  if (!token || token.closest(".row").classList.contains("old")) return;
  const value = valueOf(token);
  if (value < 0) return;
  token.title = figures(value);
  for (const number of [step().makers[value], ...step().readers[value]]) {
    // An argument stands on the first line of its block, which may be another row.
    for (const row of at("ir").querySelectorAll(`.row[data-op="${number}"]`)) {
      for (const each of row.querySelectorAll(".value")) {
        if (each.textContent === token.textContent) each.classList.add("lit");
      }
    }
  }
}

part(["region", "step", "view"], drawListing);
part(["op", "line"], markRows);

at("ir").addEventListener("click", (event) => {
  const row = event.target.closest(".row:not(.old, .gap)");
  if (row) show({ op: Number(row.dataset.op), line: -1 });
});
at("ir").addEventListener("pointerover", (event) => light(event.target.closest(".value")));
at("ir").addEventListener("dblclick", (event) => {
  const token = event.target.closest(".value");
  const maker = token ? step().makers[valueOf(token)] : -1;
  if (maker >= 0) select(maker);
});
