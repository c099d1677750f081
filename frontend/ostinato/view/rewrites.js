// The single rewrites that led to a step: a list, and what the chosen one changed.

const NOT_RECORDED =
  "Rewrites were not recorded: <code>OSTINATO_DUMP_REWRITES=1</code> beside " +
  "<code>OSTINATO_DUMP=DIR</code> keeps them.";

function drawRewrites(changed) {
  at("rewrites").hidden = state.view !== "rewrites";
  if (at("rewrites").hidden) return;
  const rewrites = step().rewrites;
  if (["region", "step", "view"].some((name) => changed.has(name))) {
    at("rewrite-list").innerHTML = chunks(rewrites.map(rewriteRow));
  }
  for (const old of at("rewrite-list").querySelectorAll('[aria-selected="true"]')) {
    old.setAttribute("aria-selected", "false");
  }
  const row = at(`rewrite-${state.rewrite}`);
  at("rewrite-list").setAttribute("aria-activedescendant", row ? row.id : "");
  if (row) {
    row.setAttribute("aria-selected", "true");
    reveal(row, at("rewrite-list"));
  }
  const rewrite = rewrites[state.rewrite];
  const none = region().steps.some((each) => each.rewrites.length)
    ? `The pass ${escaped(step().pass)} applied no rewrites.`
    : NOT_RECORDED;
  at("rewrite").innerHTML = rewrite ? rewriteHtml(rewrite) : `<p class="none">${none}</p>`;
}

function rewriteRow({ number, name, op, lines }, index) {
  const from = lines.length ? region().lineName(lines[0]) : "";
  return (
    `<div class="row" id="rewrite-${index}" role="option" aria-selected="false" ` +
    `data-rewrite="${index}"><span class="gutter">${number}</span><code>${escaped(name)} ` +
    `<small>${escaped(op)}</small></code><span class="tag">${escaped(from)}</span></div>`
  );
}

function rewriteHtml({ number, name, op, lines, changed }) {
  const rows = changed.map(changedRow);
  const text = rows.length
    ? `<div class="text" tabindex="0" aria-label="Changed lines">${chunks(rows)}</div>`
    : `<p class="none">It changed no line: what was decided is carried out by a later one.</p>`;
  return (
    `<h2>${number} <code>${escaped(name)}</code>` +
    `${op ? ` <small>on ${escaped(op)}</small>` : ""}</h2>` +
    `<p class="links">${lines.map(lineButton).join("")}</p>${text}`
  );
}

function changedRow(line) {
  if (line.startsWith("@@")) return `<div class="row gap">${escaped(line)}</div>`;
  const kind = { "+": "new", "-": "old" }[line[0]] ?? "same";
  return (
    `<div class="row ${kind}"><span class="gutter"></span>` +
    `<code>${marked(line.slice(1))}</code></div>`
  );
}

/** The next rewrite, or the one before; beyond the ends of a step those of the next one. */
function goToRewrite(by) {
  if (step().rewrites[state.rewrite + by]) {
    chooseRewrite(state.step, state.rewrite + by);
    return;
  }
  let number = state.step + by;
  while (region().steps[number]?.rewrites.length === 0) number += by;
  const found = region().steps[number];
  if (found) chooseRewrite(number, by > 0 ? 0 : found.rewrites.length - 1);
}

function chooseRewrite(number, rewrite) {
  const [line] = region().steps[number].rewrites[rewrite].lines;
  show({ step: number, rewrite, op: -1, line: line ?? -1 });
}

part(["region", "step", "view", "rewrite"], drawRewrites);

at("rewrite-list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) chooseRewrite(state.step, Number(row.dataset.rewrite));
});
