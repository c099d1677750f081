// What is shown, and how it changes: one object, in the page's address, and one function.

const VIEWS = ["ir", "changes", "rewrites", "graph", "kernels"];

const state = {
  region: 0, step: 0, view: "ir", op: -1, kernel: 0, rewrite: 0, line: -1, scope: -1, query: "",
};

const ADDRESSED = ["region", "step", "view", "op", "kernel", "rewrite"];

const region = () => REGIONS[state.region];
const step = () => region().steps[state.step];
const selected = () => (state.op < 0 ? null : step().ops[state.op]);

const parts = [];
const WAIT = 250;
let writing = 0;

/** A part of the page: `draw(changed)` is called where one of `names` has changed. */
function part(names, draw) {
  parts.push({ names: new Set(names), draw });
}

/** Changes the state and what shows it. */
function show(change) {
  const changed = new Set(Object.keys(change).filter((name) => state[name] !== change[name]));
  Object.assign(state, change);
  if (changed.size) draw(changed);
}

function draw(changed) {
  for (const each of parts) {
    if ([...changed].some((name) => each.names.has(name))) each.draw(changed);
  }
  const where = ADDRESSED.map((name) => state[name]).join("/");
  document.body.dataset.shown = where;
  // Browsers stop pages that write their address too often, as a key held down would.
  clearTimeout(writing);
  writing = setTimeout(() => history.replaceState(null, "", `#${where}`), WAIT);
}

/** The state that an address names, with what is not there left out. */
function fromAddress() {
  const [r, s, view, op, kernel, rewrite] = location.hash.slice(1).split("/");
  const within = (text, count) =>
    Math.min(Math.max(Number.parseInt(text, 10) || 0, 0), Math.max(count - 1, 0));
  const number = within(r, REGIONS.length);
  const at = within(s, REGIONS[number].steps.length);
  return {
    region: number,
    step: at,
    view: VIEWS.includes(view) ? view : "ir",
    op: op === undefined || Number(op) < 0 ? -1 : within(op, REGIONS[number].steps[at].ops.length),
    kernel: within(kernel, REGIONS[number].kernels.length),
    rewrite: within(rewrite, REGIONS[number].steps[at].rewrites.length),
  };
}

function goToStep(number, op = null) {
  if (number < 0 || number >= region().steps.length) return;
  const next = region().steps[number];
  show({ step: number, op: op ?? counterpart(next), scope: -1, rewrite: 0 });
}

/** The op of another step that the selected one is, or is nearest to: of the same text's line where
 * the steps follow each other, else of the same name and source line, else of the same line. */
function counterpart(next) {
  const op = selected();
  if (!op) return -1;
  const line = mappedLine(op.step, next, op.first);
  if (line >= 0 && next.ops[next.opOfLine[line]]?.first === line) return next.opOfLine[line];
  const same = next.opsFrom(op.lines[0]);
  return same.find((n) => next.ops[n].name === op.name) ?? same[0] ?? -1;
}

/** Where a line of one step is in the next one or the one before; -1 where it changed. */
function mappedLine(from, to, line) {
  const forth = to.before === from.number;
  if (!forth && from.before !== to.number) return -1;
  let shift = 0;
  for (const [a, b, c, d] of (forth ? to : from).changes) {
    const [start, end, other] = forth ? [a, b, d] : [c, d, b];
    if (line < start) break;
    if (line < end) return -1;
    shift = other - end;
  }
  return line + shift;
}

/** The ops that share the line selected, or the first one of the selected op: most gradients share
 * the line of `backward` as well. */
function kin() {
  const line = state.line >= 0 ? state.line : selected()?.lines[0];
  return line === undefined ? [] : step().opsFrom(line);
}

/** Scrolls a row into sight where it is not. */
function reveal(row, box) {
  const [inner, outer] = [row.getBoundingClientRect(), box.getBoundingClientRect()];
  const seen = inner.top >= outer.top && inner.bottom <= outer.bottom;
  if (!seen) box.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
}

function select(op) {
  show({ op, line: op < 0 ? -1 : state.line });
}

const escaped = (text) =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** The element that is called so. */
const at = (id) => document.getElementById(id);
