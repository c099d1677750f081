// Steps, views, search and keys; then the page is shown for the first time.

let matches = [];

function drawSteps() {
  const parts = new Set(region().steps.map((each) => each.part));
  const items = region().steps.map((each, number) => {
    const { came, went } = each.counts;
    const change = came + went ? `<i>+${came}</i> <b>−${went}</b>` : "";
    const starts = parts.size > 1 && region().steps[number - 1]?.part !== each.part;
    return (
      `<li${starts ? ` data-part="${each.part}"` : ""}>` +
      `<button type="button" data-step="${number}"` +
      `${number === state.step ? ' aria-current="step"' : ""}>` +
      `<small>${escaped(each.pass)}</small><span>${escaped(each.stage)}</span>` +
      `<small>${each.ops.length} ops ${change}</small></button></li>`
    );
  });
  document.querySelector("#steps ol").innerHTML = items.join("");
  document.querySelector('#steps [aria-current="step"]').scrollIntoView({ block: "nearest" });
}

function drawBar() {
  for (const tab of document.querySelectorAll("#content [role=tab]")) {
    const chosen = tab.dataset.view === state.view;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  const { came, went } = step().counts;
  at("summary").textContent =
    step().before === null
      ? `${step().lineCount} lines`
      : `${came} lines new, ${went} gone since ${region().steps[step().before].stage}`;
  const functions = step().functions;
  const options = functions.map(
    (op) => `<option value="${op.number}">@${escaped(op.symbol)}</option>`,
  );
  at("symbol").innerHTML = `<option value="">Go to…</option>${options.join("")}`;
  at("symbol").hidden = functions.length < 2 || state.view === "kernels";
}

/** Ops whose first line has the text, or that come from a line called so. */
function search() {
  const query = state.query.toLowerCase();
  const named = (op) => op.lines.some((line) => region().lineName(line).includes(query));
  matches = query
    ? step().ops.slice(1).filter((op) => op.text.toLowerCase().includes(query) || named(op))
    : [];
  const place = matches.findIndex((op) => op.number === state.op);
  at("found").textContent = query ? `${place + 1} of ${matches.length}` : "";
}

/** The next match after the selected op, or where nothing is searched the next change. */
function goOn(by) {
  const targets = state.query
    ? matches.map((op) => op.number)
    : step().changes.map(([, , c]) => step().opOfLine[Math.min(c, step().lineCount - 1)]);
  if (!targets.length) return;
  const ordered = by > 0 ? targets : [...targets].reverse();
  select(ordered.find((n) => (n - state.op) * by > 0) ?? ordered[0]);
}

function move(by) {
  if (state.view === "graph") follow(by < 0);
  else if (state.view === "rewrites") goToRewrite(by);
  else if (state.view === "kernels") {
    const last = region().kernels.length - 1;
    show({ kernel: Math.min(Math.max(state.kernel + by, 0), last) });
  } else {
    const next = Math.min(Math.max(state.op + by, 1), step().ops.length - 1);
    select(next);
  }
}

const KEYS = {
  j: () => goToStep(state.step + 1),
  ArrowRight: () => goToStep(state.step + 1),
  k: () => goToStep(state.step - 1),
  ArrowLeft: () => goToStep(state.step - 1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  n: () => goOn(1),
  p: () => goOn(-1),
  "/": () => at("search").select(),
  "?": () => at("help").showModal(),
  "+": () => zoom(1.4),
  "-": () => zoom(1 / 1.4),
  0: () => fit(),
  Escape: () => show({ op: -1, line: -1 }),
  Backspace: () => state.view === "graph" && leave(),
  Enter: () => {
    const op = selected();
    if (op && !showKernel(op) && state.view === "graph") enter(op.number);
  },
};
VIEWS.forEach((view, number) => {
  KEYS[number + 1] = () => show({ view });
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select") || at("help").open;
  const presses = event.target.matches("button") && event.key === "Enter";
  const action = KEYS[event.key];
  if (typing || presses || !action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});

at("search").addEventListener("input", (event) => show({ query: event.target.value.trim() }));
at("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") goOn(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") event.target.blur();
});
at("help-button").addEventListener("click", () => at("help").showModal());
at("steps").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) goToStep(Number(button.dataset.step));
});
document.querySelector("#content [role=tablist]").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) show({ view: tab.dataset.view });
});
at("symbol").addEventListener("change", (event) => {
  if (event.target.value) show({ op: Number(event.target.value), scope: Number(event.target.value) });
  if (state.op >= 0) at(`op-${state.op}`)?.scrollIntoView({ block: "start" });
});
at("region").addEventListener("change", (event) => {
  show({ region: Number(event.target.value), step: 0, op: -1, line: -1, kernel: 0, scope: -1, rewrite: 0 });
});
window.addEventListener("hashchange", () => {
  clearTimeout(writing);
  show(fromAddress());
});

part(["region", "step"], drawSteps);
part(["region", "step", "view"], drawBar);
part(["region", "step", "op", "query"], search);

at("region").innerHTML = REGIONS.map(
  (each, number) => `<option value="${number}">${escaped(each.title)}</option>`,
).join("");
Object.assign(state, fromAddress());
at("region").value = state.region;
draw(new Set(Object.keys(state)));
