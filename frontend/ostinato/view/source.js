// The user's files beside the step: which lines ops come from, and how many.

const PYTHON = new RegExp(
  [
    String.raw`(?<comment>#.*)`,
    String.raw`(?<string>[rbf]*"""|[rbf]*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))`,
    String.raw`(?<keyword>\b(?:and|as|assert|async|await|break|class|continue|def|del|elif|else|` +
      String.raw`except|False|finally|for|from|global|if|import|in|is|lambda|None|nonlocal|not|or|` +
      String.raw`pass|raise|return|self|True|try|while|with|yield)\b)`,
  ].join("|"),
  "g",
);

let shownFile = 0;

function python(line) {
  let html = "";
  let next = 0;
  for (const found of line.matchAll(PYTHON)) {
    const [kind] = Object.entries(found.groups).find(([, text]) => text !== undefined);
    html += escaped(line.slice(next, found.index));
    html += `<span class="${kind}">${escaped(found[0])}</span>`;
    next = found.index + found[0].length;
  }
  return html + escaped(line.slice(next));
}

function drawFiles() {
  const tabs = region().files.map(
    (file, number) =>
      `<button role="tab" type="button" data-file="${number}" ` +
      `aria-selected="${number === shownFile}">${escaped(file.name)}</button>`,
  );
  document.querySelector("#source .bar").innerHTML = tabs.join("");
  const file = region().files[shownFile];
  const box = document.querySelector("#source .text");
  box.innerHTML = file?.lines.length
    ? chunks(file.lines.map((text, i) => sourceRow(shownFile, i + 1, DATA.strings[text])))
    : `<p class="none">The text of this file was not kept.</p>`;
  drawCounts();
  const first = box.querySelector(".row[id]");
  if (first) reveal(first, box);
}

function sourceRow(file, line, text) {
  const number = region().lineNumber.get(`${file}:${line}`) ?? -1;
  const id = number < 0 ? "" : ` id="line-${number}" role="option" aria-selected="false"`;
  return (
    `<div class="row" data-line="${number}"${id}><span class="count"></span>` +
    `<span class="gutter">${line}</span><code>${python(text)}</code></div>`
  );
}

/** How many ops of the step come from each line, as a number and a bar. */
function drawCounts() {
  const rows = [...document.querySelectorAll("#source .row[id]")];
  const counts = rows.map((row) => step().opsFrom(Number(row.dataset.line)).length);
  const most = Math.max(...counts, 1);
  rows.forEach((row, i) => {
    const count = row.querySelector(".count");
    count.textContent = counts[i] || "";
    count.style.setProperty("--share", Math.sqrt(counts[i] / most).toFixed(3));
  });
  markSource();
}

function markSource() {
  for (const old of document.querySelectorAll("#source .selected, #source .kin")) {
    old.classList.remove("selected", "kin");
    old.setAttribute("aria-selected", "false");
  }
  const lines = state.line >= 0 ? [state.line] : (selected()?.lines ?? []);
  if (!lines.length) return;
  if (!lines.some((line) => region().lines[line].file === shownFile)) {
    shownFile = region().lines[lines[0]].file;
    drawFiles();
    return;
  }
  for (const line of lines) at(`line-${line}`)?.classList.add("kin");
  const first = lines.map((line) => at(`line-${line}`)).find((row) => row);
  if (!first) return;
  first.classList.add("selected");
  first.setAttribute("aria-selected", "true");
  document.querySelector("#source .text").setAttribute("aria-activedescendant", first.id);
  reveal(first, document.querySelector("#source .text"));
}

/** Selects a line of the user, and its first op, or the next one where that line is selected. */
function selectLine(line) {
  const ops = step().opsFrom(line);
  const next = state.line === line ? ops[(ops.indexOf(state.op) + 1) % ops.length] : ops[0];
  show({ line, op: next ?? -1 });
}

function drawRegion() {
  shownFile = Math.max(region().files.findIndex((file) => file.lines.length), 0);
  document.title = `${region().title} – Ostinato`;
  drawFiles();
}

part(["region"], drawRegion);
part(["step"], drawCounts);
part(["op", "line"], markSource);

document.querySelector("#source .bar").addEventListener("click", (event) => {
  const tab = event.target.closest("button");
  if (!tab) return;
  shownFile = Number(tab.dataset.file);
  show({ line: -1, op: -1 });
  drawFiles();
});
document.querySelector("#source .text").addEventListener("click", (event) => {
  const row = event.target.closest(".row[id]");
  if (row) selectLine(Number(row.dataset.line));
});
document.querySelector("#source .text").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = [...document.querySelectorAll("#source .row[id]")];
  const now = rows.findIndex((row) => row.classList.contains("selected"));
  const next = rows[now + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) selectLine(Number(next.dataset.line));
  event.preventDefault();
  event.stopPropagation();
});
