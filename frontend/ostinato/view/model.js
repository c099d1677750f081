// The data of the page as objects. Nothing here touches what is shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** An op of a step; numbers of ops and values are those of its step. */
class Op {
  constructor(step, number, [first, last, name, place, parent, operands, defines]) {
    Object.assign(this, { step, number, first, last, place, parent, operands, defines });
    this.name = DATA.strings[name];
  }

  get text() {
    return this.step.line(this.first).trim();
  }

  /** What a launch, call or definition names: `@add_0` or `matmul`; else "". */
  get symbol() {
    return /@([\w$.-]+)/.exec(this.text)?.[1] ?? /^.*program\.call (\w+)/.exec(this.text)?.[1] ?? "";
  }

  /** The lines of the user that it comes from, as numbers of the region's lines. */
  get lines() {
    return this.step.region.places[this.place];
  }

  /** `layer_norm`, `launch add_0`. */
  get title() {
    const plain = this.name.replace(/^ot\./, "").replace(/^program\./, "");
    return this.name.startsWith("program.") && this.symbol ? this.symbol : plain;
  }
}

/** A module after a pass. */
class Step {
  constructor(region, number, raw) {
    Object.assign(this, { region, number, raw });
    Object.assign(this, { stage: raw.stage, part: raw.part, pass: raw.pass, changes: raw.changes });
    this.before = raw.before === null ? null : raw.before;
  }

  /** The single rewrites that led to it, where they were recorded. */
  get rewrites() {
    return (this._rewrites ??= this.raw.rewrites.map(([number, name, op, place, changed]) => ({
      number,
      name: DATA.strings[name],
      op: DATA.strings[op],
      lines: this.region.places[place],
      changed: changed.map((line) => DATA.strings[line]),
    })));
  }

  line(number) {
    return DATA.strings[this.raw.lines[number]];
  }

  valueName(value) {
    return DATA.strings[this.raw.values[value]];
  }

  get lineCount() {
    return this.raw.lines.length;
  }

  get ops() {
    return (this._ops ??= this.raw.ops.map((row, number) => new Op(this, number, row)));
  }

  /** The innermost op of each line. */
  get opOfLine() {
    if (!this._opOfLine) {
      this._opOfLine = new Int32Array(this.lineCount).fill(-1);
      for (const op of this.ops) this._opOfLine.fill(op.number, op.first, op.last + 1);
    }
    return this._opOfLine;
  }

  /** For each value the op that defines it. */
  get makers() {
    if (!this._makers) {
      this._makers = new Int32Array(this.raw.values.length).fill(-1);
      for (const op of this.ops) for (const value of op.defines) this._makers[value] = op.number;
    }
    return this._makers;
  }

  /** For each value the ops that read it. */
  get readers() {
    if (!this._readers) {
      this._readers = this.raw.values.map(() => []);
      for (const op of this.ops) {
        for (const value of new Set(op.operands)) this._readers[value].push(op.number);
      }
    }
    return this._readers;
  }

  /** The ops that come from a line of the user, as numbers. */
  opsFrom(line) {
    if (!this._from) {
      this._from = new Map();
      for (const op of this.ops.slice(1)) {
        for (const each of op.lines) {
          if (!this._from.has(each)) this._from.set(each, []);
          this._from.get(each).push(op.number);
        }
      }
    }
    return this._from.get(line) ?? [];
  }

  /** Functions and kernels: what the module holds. */
  get functions() {
    return this.ops.filter((op) => op.parent === 0);
  }

  /** Rows to show: [kind, line, op], where kind is "same", "new" or, of the step before, "old". */
  rows() {
    const rows = [];
    let next = 0;
    const copy = (end, kind) => {
      for (; next < end; next += 1) rows.push([kind, next, this.opOfLine[next]]);
    };
    for (const [a, b, c, d] of this.changes) {
      copy(c, "same");
      for (let line = a; line < b; line += 1) rows.push(["old", line, -1]);
      copy(d, "new");
    }
    copy(this.lineCount, "same");
    return rows;
  }

  /** How many lines came and went. */
  get counts() {
    let [came, went] = [0, 0];
    for (const [a, b, c, d] of this.changes) [came, went] = [came + d - c, went + b - a];
    return { came, went };
  }
}

/** What was compiled as one: steps, kernels and the user's files. */
class Region {
  constructor(raw) {
    Object.assign(this, { title: raw.title, places: raw.places, raw });
    this.lines = raw.lines.map(([file, line]) => ({ file, line }));
    this.files = raw.files.map((file) => ({ name: file.name, lines: file.lines }));
    this.steps = raw.steps.map((step, number) => new Step(this, number, step));
    this.lineNumber = new Map(this.lines.map(({ file, line }, n) => [`${file}:${line}`, n]));
  }

  /** `models.py:63` */
  lineName(number) {
    const { file, line } = this.lines[number];
    return `${this.files[file].name}:${line}`;
  }

  /** Every kernel: of the last step of a part, and what was generated for it. */
  get kernels() {
    return (this._kernels ??= [...this.findKernels()]);
  }

  *findKernels() {
    const sources = new Map(this.raw.kernels.map((each) => [each.file, each]));
    const ends = new Map(this.steps.filter((s) => s.part !== "joint").map((s) => [s.part, s]));
    for (const [part, step] of ends) {
      const prefix = part === "backward" ? "backward-" : "";
      for (const op of step.functions.filter((each) => each.name.startsWith("kernel."))) {
        const file = [".ll", ".py"].map((e) => prefix + op.symbol + e).find((f) => sources.has(f));
        const launches = step.ops.filter(
          (each) => each.name === "program.launch" && each.symbol === op.symbol,
        );
        yield { name: prefix + op.symbol, op, launches, source: sources.get(file) ?? null };
        sources.delete(file);
      }
    }
    // What a library call became: there is no kernel of ours behind it.
    for (const source of sources.values()) {
      yield { name: source.file.replace(/\.\w+$/, ""), op: null, launches: [], source };
    }
  }
}

const REGIONS = DATA.regions.map((raw) => new Region(raw));
