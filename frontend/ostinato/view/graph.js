// The graph of a step: ops from top to bottom, those inside of an op folded into it.

const NODE = { width: 148, height: 36, across: 172, down: 72 };
const LEAST_TEXT = 0.35;
const MANY = 24;

const svg = document.querySelector("#graph svg");
const overview = document.querySelector("#graph canvas");
const camera = { x: 0, y: 0, scale: 1 };
let drawn = null;

/** The op whose block is shown: that around the selected op, else the function. */
function scopeOf() {
  const graphs = step().raw.graphs;
  if (state.scope >= 0 && graphs[state.scope]) return state.scope;
  let number = selected()?.parent ?? -1;
  while (number >= 0 && !graphs[number]) number = step().ops[number].parent;
  if (number >= 0) return number;
  return step().functions.find((op) => op.name === "func.func")?.number ?? -1;
}

function nodeOf([op, row, column]) {
  const [x, y] = [(column / 100) * NODE.across, row * NODE.down];
  if (op < 0) {
    const value = -1 - op;
    return { op: -1, value, x, y, kind: "argument", title: `%${step().valueName(value)}`, more: "" };
  }
  const each = step().ops[op];
  const dialect = each.name.split(".")[0];
  const folded = step().raw.graphs[op] !== undefined;
  const kind = folded ? "folded" : each.name.endsWith("constant") ? "constant" : dialect;
  const more = each.lines.length ? region().lineName(each.lines[0]) : "";
  const inside = folded ? ` · ${step().raw.graphs[op].nodes.length} inside` : "";
  return { op, value: -1, x, y, kind, title: each.title, more: more + inside };
}

function drawGraph() {
  at("graph").hidden = state.view !== "graph";
  if (at("graph").hidden) return;
  const scope = scopeOf();
  const graph = step().raw.graphs[scope];
  const key = `${state.region}/${state.step}/${scope}`;
  if (drawn?.key !== key) {
    const nodes = graph ? graph.nodes.map(nodeOf) : [];
    drawn = { key, scope, nodes, edges: graph ? graph.edges : [] };
    svg.innerHTML = `<g id="world">${edgesOf(drawn)}${nodes.map(nodeHtml).join("")}</g>`;
    drawScopes(scope);
    home();
  }
  markNodes();
}

function nodeHtml({ op, x, y, kind, title, more }, number) {
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const texts =
    `<text y="-3">${escaped(cut(title, 20))}</text>` +
    `<text class="from" y="11">${escaped(cut(more, 25))}</text>`;
  return (
    `<g class="node ${kind}" data-node="${number}" data-op="${op}" transform="translate(${x} ${y})">` +
    `<title>${escaped(title)}</title><rect x="${-NODE.width / 2}" y="${-NODE.height / 2}" ` +
    `width="${NODE.width}" height="${NODE.height}" rx="6"/>${more ? texts : single(title, cut)}</g>`
  );
}

const single = (title, cut) => `<text y="4">${escaped(cut(title, 20))}</text>`;

/** Edges as paths; those of an op that gathers or gives many values, as a return, are faint. */
function edgesOf({ nodes, edges }) {
  const [outOf, into] = [new Uint16Array(nodes.length), new Uint16Array(nodes.length)];
  for (const [from, to] of edges) [outOf[from], into[to]] = [outOf[from] + 1, into[to] + 1];
  return edges
    .map(([from, to], number) => {
      const [a, b] = [nodes[from], nodes[to]];
      const [y, end] = [a.y + NODE.height / 2, b.y - NODE.height / 2];
      const bend = Math.max((end - y) / 2, 18);
      const curve = `M${a.x} ${y}C${a.x} ${y + bend} ${b.x} ${end - bend} ${b.x} ${end}`;
      const faint = Math.max(outOf[from], into[to]) > MANY ? " faint" : "";
      return `<path class="edge${faint}" data-edge="${number}" d="${curve}"/>`;
    })
    .join("");
}

/** The ops around the block that is shown, as a way out. */
function drawScopes(scope) {
  const around = [];
  for (let n = scope; n > 0; n = step().ops[n].parent) around.unshift(n);
  at("scopes").innerHTML = around
    .map((n) => `<button type="button" data-scope="${n}">${escaped(scopeName(n))}</button>`)
    .join("");
}

function scopeName(number) {
  const op = step().ops[number];
  return op.parent === 0 ? `@${op.symbol}` : op.title;
}

function box() {
  const xs = drawn.nodes.map((node) => node.x);
  const ys = drawn.nodes.map((node) => node.y);
  const [left, top] = [Math.min(...xs, 0) - NODE.width, Math.min(...ys, 0) - NODE.down];
  return {
    left, top,
    width: Math.max(...xs, 0) + NODE.width - left,
    height: Math.max(...ys, 0) + NODE.down - top,
  };
}

/** The selected op in the middle, or the whole graph where that can be read, or its first row. */
function home() {
  const chosen = drawn.nodes.find((node) => node.op >= 0 && node.op === state.op);
  fit();
  if (camera.scale >= 0.6) return;
  const first = drawn.nodes.reduce((a, b) => (b.y < a.y ? b : a), drawn.nodes[0]);
  const to = chosen ?? first;
  if (to) look(to.x, to.y + (chosen ? 0 : svg.clientHeight / 3), 1);
}

function fit() {
  const { left, top, width, height } = box();
  const scale = Math.min(svg.clientWidth / width, svg.clientHeight / height, 1);
  look(left + width / 2, top + height / 2, scale);
}

/** Puts a point of the graph into the middle. */
function look(x, y, scale = camera.scale) {
  camera.scale = Math.min(Math.max(scale, 0.02), 3);
  camera.x = svg.clientWidth / 2 - x * camera.scale;
  camera.y = svg.clientHeight / 2 - y * camera.scale;
  moved();
}

function zoom(factor, x = svg.clientWidth / 2, y = svg.clientHeight / 2) {
  const scale = Math.min(Math.max(camera.scale * factor, 0.02), 3);
  camera.x = x - ((x - camera.x) * scale) / camera.scale;
  camera.y = y - ((y - camera.y) * scale) / camera.scale;
  camera.scale = scale;
  moved();
}

function moved() {
  const { x, y, scale } = camera;
  at("world")?.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
  svg.classList.toggle("far", scale < LEAST_TEXT);
  drawOverview();
}

function drawOverview() {
  const { left, top, width, height } = box();
  const pen = overview.getContext("2d");
  const scale = Math.min(overview.width / width, overview.height / height);
  const style = getComputedStyle(overview);
  pen.clearRect(0, 0, overview.width, overview.height);
  pen.fillStyle = style.color;
  for (const node of drawn.nodes) {
    const size = Math.max(NODE.height * scale, 1.2);
    pen.fillRect((node.x - left) * scale - size / 2, (node.y - top) * scale - size / 2, size, size);
  }
  pen.strokeStyle = style.borderTopColor;
  pen.lineWidth = 1.5;
  pen.strokeRect(
    (-camera.x / camera.scale - left) * scale, (-camera.y / camera.scale - top) * scale,
    (svg.clientWidth / camera.scale) * scale, (svg.clientHeight / camera.scale) * scale,
  );
}

/** Marks the selected op, its edges and the ops of the same source lines. */
function markNodes() {
  for (const old of svg.querySelectorAll(".selected, .kin, .near")) {
    old.classList.remove("selected", "kin", "near");
  }
  const op = selected();
  const same = new Set(kin());
  drawn.nodes.forEach((node, number) => {
    if (same.has(node.op)) element("node", number).classList.add("kin");
  });
  const number = op ? drawn.nodes.findIndex((node) => node.op === op.number) : -1;
  if (number < 0) return;
  element("node", number).classList.add("selected");
  drawn.edges.forEach(([from, to], edge) => {
    if (from === number || to === number) element("edge", edge).classList.add("near");
  });
}

const element = (kind, number) => svg.querySelector(`[data-${kind}="${number}"]`);

/** Follows an edge from the selected op: up to what it reads, down to who reads it. */
function follow(up) {
  const number = drawn.nodes.findIndex((node) => node.op >= 0 && node.op === state.op);
  const [from, to] = up ? [1, 0] : [0, 1];
  const ends = drawn.edges.filter((edge) => edge[from] === number).map((edge) => edge[to]);
  const next = drawn.nodes[ends.find((end) => drawn.nodes[end].op >= 0) ?? -1];
  const target = next ?? (number < 0 ? drawn.nodes.find((node) => node.op >= 0) : null);
  if (!target) return;
  select(target.op);
  look(target.x, target.y);
}

function enter(op) {
  if (step().raw.graphs[op]?.nodes.length) show({ scope: op });
}

function leave() {
  const parent = drawn ? step().ops[drawn.scope]?.parent : -1;
  if (parent > 0) show({ op: drawn.scope, scope: parent });
}

part(["region", "step", "view", "scope", "op", "line"], (changed) => {
  const outside = changed.has("op") && !changed.has("scope") && state.scope >= 0;
  if (outside && selected() && selected().parent !== state.scope) state.scope = -1;
  drawGraph();
});

svg.addEventListener("click", (event) => {
  const node = event.target.closest(".node");
  if (!node || Number(node.dataset.op) < 0) return;
  const scope = drawn.scope;
  show({ op: Number(node.dataset.op), line: -1, scope });
});
svg.addEventListener("dblclick", (event) => {
  const node = event.target.closest(".node");
  if (node) enter(Number(node.dataset.op));
});
svg.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 500), event.offsetX, event.offsetY);
  },
  { passive: false },
);
svg.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  camera.x += event.movementX;
  camera.y += event.movementY;
  moved();
});
overview.addEventListener("pointerdown", (event) => {
  const { left, top, width, height } = box();
  const scale = Math.min(overview.width / width, overview.height / height);
  look(event.offsetX / scale + left, event.offsetY / scale + top);
});
at("scopes").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) show({ scope: Number(button.dataset.scope) });
});
document.querySelector("#graph .zoom").addEventListener("click", (event) => {
  const way = event.target.dataset.zoom;
  if (way === "fit") fit();
  else if (way) zoom(way === "in" ? 1.4 : 1 / 1.4);
});
