// What is known of the selected op: its whole text, its neighbours, its lines, and what the same
// lines are in other steps.

const FEW = 12;

function lineButton(line) {
  return `<button type="button" data-line="${line}">${escaped(region().lineName(line))}</button>`;
}

function opButton(op, html) {
  return `<button type="button" data-step="${op.step.number}" data-op="${op.number}">${html}</button>`;
}

/** A value with who makes it, or an op with what it is called. */
function valueButton(value) {
  const op = step().ops[step().makers[value]];
  const name = `<span class="value">%${escaped(step().valueName(value))}</span>`;
  return op ? opButton(op, `${name} ${op.results ? "" : escaped(op.title)}`) : name;
}

function few(items, draw) {
  const rest = items.length - FEW;
  const more = rest > 0 ? `<span class="more">and ${rest} more</span>` : "";
  return items.slice(0, FEW).map(draw).join("") + more;
}

function entry(name, html) {
  return html ? `<dt>${name}</dt><dd class="links">${html}</dd>` : "";
}

function drawInspector() {
  const op = selected();
  const box = at("inspector");
  if (!op) {
    box.innerHTML = `<p class="none">Select an op, or a line of the source. <kbd>?</kbd> lists the keys.</p>`;
    return;
  }
  const readers = [...new Set(op.defines.flatMap((value) => step().readers[value]))];
  const launched = /^(program\.launch|kernel\.)/.test(op.name) && op.symbol;
  const entries = [
    entry("lines", op.lines.map(lineButton).join("")),
    entry("reads", few([...new Set(op.operands)], valueButton)),
    entry("read by", few(readers, (n) => opButton(step().ops[n], escaped(step().ops[n].title)))),
    entry("same line", sameLine(op)),
    entry("kernel", launched ? `<button type="button" data-kernel>${escaped(op.symbol)}</button>` : ""),
    entry("values", statistics(op)),
  ];
  box.innerHTML =
    `<pre tabindex="0" aria-label="Text of the op"><code>${marked(op.text)}</code></pre>` +
    `<dl>${entries.join("")}</dl>`;
}

/** How many ops of each step come from the first line of an op; a click goes to one of them. */
function sameLine(op) {
  return region()
    .steps.map((each) => {
      const ops = each.opsFrom(op.lines[0]);
      if (!ops.length) return "";
      const now = each.number === state.step ? ' aria-current="step"' : "";
      const like = ops.find((n) => each.ops[n].name === op.name) ?? ops[0];
      const to = now ? op.number : like;
      return (
        `<button type="button" data-step="${each.number}" data-op="${to}"${now}>` +
        `${escaped(each.stage)} <small>${ops.length}</small></button>`
      );
    })
    .join("");
}

/** What was recorded of the values of an op, where a run recorded any. */
function statistics(op) {
  return [...new Set([...op.defines, ...op.operands])]
    .filter((value) => step().raw.statistics[value])
    .map((value) => `<div><code>${escaped(figures(value))}</code></div>`)
    .join("");
}

/** `%12: min -1, max 1, mean 0, nan 0`; the name alone where nothing was recorded. */
function figures(value) {
  const recorded = Object.entries(step().raw.statistics[value] ?? {});
  const told = recorded.map(([name, number]) => `${name} ${number}`).join(", ");
  return `%${step().valueName(value)}${told ? `: ${told}` : ""}`;
}

part(["region", "step", "op"], drawInspector);

// Links to ops, lines and kernels stand in the inspector and beside kernels.
document.addEventListener("click", (event) => {
  const button = event.target.closest("#inspector button, .list-and-one .links button");
  if (!button) return;
  const { step: number, op, line, kernel } = button.dataset;
  if (kernel !== undefined) showKernel(selected());
  else if (line !== undefined) selectLine(Number(line));
  else {
    if (state.view === "kernels") show({ view: "ir" });
    goToStep(Number(number), Number(op));
  }
});
