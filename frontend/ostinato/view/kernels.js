// The kernels of a region: the loop nest of each, and what was generated from it.

function drawKernels() {
  at("kernels").hidden = state.view !== "kernels";
  if (at("kernels").hidden) return;
  const kernels = region().kernels;
  at("kernel-list").innerHTML = kernels.map(kernelRow).join("");
  at("kernel-list").setAttribute("aria-activedescendant", `kernel-${state.kernel}`);
  at(`kernel-${state.kernel}`)?.scrollIntoView({ block: "nearest" });
  const kernel = kernels[state.kernel];
  at("kernel").innerHTML = kernel
    ? kernelHtml(kernel)
    : `<p class="none">This region has no kernels.</p>`;
}

function kernelRow(kernel, number) {
  const times = kernel.launches.length;
  const count = times ? `${times}×` : "";
  return (
    `<div class="row" id="kernel-${number}" role="option" data-kernel="${number}" ` +
    `aria-selected="${number === state.kernel}"><code>${escaped(kernel.name)}</code>` +
    `<span class="times" title="launches">${count}</span></div>`
  );
}

function kernelHtml(kernel) {
  const lines = kernel.op ? kernel.op.lines.map(lineButton).join("") : "";
  const launches = [...byTag(kernel.launches)].map(launchButton).join("");
  const parts = [`<h2><code>${escaped(kernel.name)}</code></h2>`];
  if (lines) parts.push(`<p class="links"><b>from</b> ${lines}</p>`);
  if (launches) parts.push(`<p class="links"><b>launched at</b> ${launches}</p>`);
  parts.push(`<div class="codes">${loopNest(kernel)}${generated(kernel)}</div>`);
  return parts.join("");
}

/** Launches by where they come from. */
function byTag(launches) {
  const found = new Map();
  for (const op of launches) found.set(tag(op), [...(found.get(tag(op)) ?? []), op]);
  return found;
}

function launchButton([html, ops]) {
  return opButton(ops[0], ops.length > 1 ? `${html} <small>× ${ops.length}</small>` : html);
}

function loopNest({ op }) {
  if (!op) return "";
  const html = [];
  for (let n = op.first; n <= op.last; n += 1) html.push(marked(op.step.line(n).slice(2)));
  return code("Loop nest", html);
}

function generated({ source }) {
  if (!source) return "";
  const texts = source.lines.map((line) => DATA.strings[line]);
  if (source.file.endsWith(".py")) return code("Triton", texts.map(python));
  return code("LLVM", texts.map(llvm));
}

const llvm = (line) =>
  line.startsWith(";")
    ? `<span class="comment">${escaped(line)}</span>`
    : escaped(line).replace(/(^\s*%[\w.]+ = )(\w+)/, '$1<span class="op">$2</span>');

function code(title, lines) {
  const rows = lines.map((html) => `<div class="row"><code>${html || " "}</code></div>`);
  return (
    `<section aria-label="${title}"><h3>${title} <small>${lines.length} lines</small></h3>` +
    `<div class="text" tabindex="0">${chunks(rows)}</div></section>`
  );
}

/** Shows the kernel that an op launches or defines; whether there is one. */
function showKernel(op) {
  const prefix = op.step.part === "backward" ? "backward-" : "";
  const number = region().kernels.findIndex((each) => each.name === prefix + op.symbol);
  if (number < 0 || !/^(program\.launch|kernel\.(func|batch))$/.test(op.name)) return false;
  show({ view: "kernels", kernel: number });
  return true;
}

part(["region", "view", "kernel"], drawKernels);

at("kernel-list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) show({ kernel: Number(row.dataset.kernel) });
});
