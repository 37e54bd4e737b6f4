import { painter, type Screen } from "./screen.ts";
import { cutText, textWidth } from "./text_width.ts";

/** Columns of the word that begins a row. */
export const LABEL = 8;

/** A row of a block; `color` is that of the word it begins with. */
export interface BlockRow {
  readonly text: string;
  readonly color?: number;
}

/**
 * The last rows of a terminal, drawn anew in place.
 *
 * A frame is one write that overwrites what was there and erases the rest, so that nothing flickers.
 * The cursor stays visible, at the end of the last row: a process that is killed leaves a terminal
 * as others do.
 */
export class TerminalBlock {
  readonly #screen: Screen;
  /** Columns that the rows took. */
  #drawn: readonly number[] = [];

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Writes lines that stay, then the rows below them. */
  draw(lines: readonly string[], rows: readonly BlockRow[]): void {
    if (lines.length + rows.length + this.#drawn.length === 0) return;
    const { columns } = this.#screen;
    const paint = painter(this.#screen);
    // A row that fills the last column would wrap on some terminals.
    const cut = rows.map(({ text, color }) => ({ text: cutText(text, columns - 1), color }));
    const shown = cut.map(({ text, color }) =>
      color === undefined ? text : paint(text.slice(0, LABEL), color) + text.slice(LABEL)
    );
    // Lines that stay may wrap, which leaves remains to their right unless all is erased before.
    const above = lines.length > 0 ? `\x1b[J${lines.join("\n")}\n` : "";
    this.#screen.write(`${this.#back()}${above}${shown.join("\x1b[K\n")}\x1b[K\x1b[J`);
    this.#drawn = cut.map(({ text }) => textWidth(text));
  }

  /** Takes the rows away; what is written next begins where they began. */
  clear(): void {
    if (this.#drawn.length > 0) this.#screen.write(`${this.#back()}\x1b[J`);
    this.#drawn = [];
  }

  /** Leaves the rows where they are, since the cursor is elsewhere now. */
  leave(): void {
    this.#drawn = [];
  }

  /** Moves to where the rows begin. Terminals that became narrower have wrapped them. */
  #back(): string {
    const columns = Math.max(1, this.#screen.columns);
    const lines = this.#drawn.map((width) => Math.max(1, Math.ceil(width / columns)));
    const up = lines.reduce((sum, one) => sum + one, 0) - 1;
    return up < 0 ? "" : up === 0 ? "\r" : `\r\x1b[${up}A`;
  }
}
