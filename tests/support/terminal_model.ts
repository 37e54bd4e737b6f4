interface Row {
  cells: string[];
  /** The line goes on in the next row. */
  wrapped: boolean;
}

/**
 * A terminal in miniature, as far as the runner's codes go: what a reader would see.
 *
 * Lines wrap at its width, and wrap anew when the width changes, as most terminals do. A character
 * over two columns leaves an empty second cell.
 */
export class TerminalModel {
  #columns: number;
  readonly #height: number;
  #rows: Row[] = [{ cells: [], wrapped: false }];
  #at = { row: 0, column: 0 };

  constructor(columns: number, height: number) {
    this.#columns = columns;
    this.#height = height;
  }

  /** All lines ever shown, rows that were wrapped put together. */
  get lines(): string[] {
    const lines: string[] = [""];
    for (const { cells, wrapped } of this.#rows) {
      lines[lines.length - 1] += Array.from(cells, (cell) => cell ?? " ").join("");
      if (!wrapped) lines.push("");
    }
    return lines.slice(0, -1).map((line) => line.trimEnd());
  }

  /** The lines that begin in the window. */
  get shown(): string[] {
    return this.#rows.slice(-this.#height).map(({ cells }) =>
      Array.from(cells, (cell) => cell ?? " ").join("").trimEnd()
    );
  }

  write(text: string): void {
    // deno-lint-ignore no-control-regex -- codes are what a terminal reads
    for (const [part] of text.matchAll(/\x1b\[[?\d;]*[A-Za-z]|[^]/gu)) {
      if (part.startsWith("\x1b[")) this.#obey(part);
      else if (part === "\r") this.#at.column = 0;
      // A terminal's driver adds the carriage return.
      else if (part === "\n") this.#down({ wrapped: false });
      else if (part >= " ") this.#put(part);
    }
  }

  resize(columns: number): void {
    this.#columns = columns;
    const { row, column } = this.#at;
    const before = this.#rows;
    this.#rows = [];
    for (let from = 0; from < before.length;) {
      let to = from;
      while (before[to]?.wrapped) to++;
      const cells = before.slice(from, to + 1).flatMap((one) => one.cells);
      const first = this.#rows.length;
      for (let at = 0; at === 0 || at < cells.length; at += columns) {
        this.#rows.push({
          cells: cells.slice(at, at + columns),
          wrapped: at + columns < cells.length,
        });
      }
      if (row >= from && row <= to) {
        const offset = before.slice(from, row).reduce((sum, one) => sum + one.cells.length, column);
        const down = Math.min(Math.floor(offset / columns), this.#rows.length - 1 - first);
        this.#at = { row: first + down, column: offset - down * columns };
      }
      from = to + 1;
    }
  }

  #put(character: string): void {
    const wide = /\p{Script=Han}|\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
    if (this.#at.column + wide > this.#columns) this.#down({ wrapped: true });
    const { cells } = this.#row();
    cells[this.#at.column++] = character;
    if (wide === 2) cells[this.#at.column++] = "";
  }

  #down({ wrapped }: { readonly wrapped: boolean }): void {
    this.#row().wrapped = wrapped;
    this.#at = { row: this.#at.row + 1, column: 0 };
    this.#row();
  }

  #row(): Row {
    return this.#rows[this.#at.row] ??= { cells: [], wrapped: false };
  }

  #obey(code: string): void {
    const count = Number(code.slice(2, -1) || 1);
    const top = Math.max(0, this.#rows.length - this.#height);
    if (code.endsWith("A")) this.#at.row = Math.max(top, this.#at.row - count);
    if (code.endsWith("K") || code.endsWith("J")) {
      this.#row().cells.length = Math.min(this.#row().cells.length, this.#at.column);
      this.#row().wrapped = false;
    }
    if (code.endsWith("J")) this.#rows.length = this.#at.row + 1;
  }
}
