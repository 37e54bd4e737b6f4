import type { RunEvent } from "../../event.ts";
import { TerminalBlock } from "./block.ts";
import { Board } from "./board.ts";
import type { Screen } from "./screen.ts";

/** Between two frames. */
const FRAME_SECONDS = 0.1;
/** Between two frames when nothing happens but time. */
const CLOCK_SECONDS = 1;

/** A run in a terminal: lines that stay, and below them all steps, drawn anew as they get on. */
export class LiveView implements Disposable {
  readonly #screen: Screen;
  readonly #now: () => number;
  readonly #block: TerminalBlock;
  readonly #board = new Board();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #watch: Disposable | undefined;
  #lines: string[] = [];
  #drawn = -Infinity;
  #stale = false;
  #open = true;

  constructor(screen: Screen, now: () => number) {
    this.#screen = screen;
    this.#now = now;
    this.#block = new TerminalBlock(screen);
    this.#watch = screen.watch?.({
      resized: () => this.#draw(),
      resumed: () => {
        this.#block.leave();
        this.#draw();
      },
    });
    this.#timer = setInterval(() => {
      const since = now() - this.#drawn;
      if (this.#stale ? since >= FRAME_SECONDS : since >= CLOCK_SECONDS) this.#draw();
    }, FRAME_SECONDS * 1000);
    this.#timer.unref();
  }

  /** Takes what has happened, and the lines that stay of it. */
  take(event: RunEvent, lines: readonly string[]): void {
    this.#board.take(event, this.#now());
    this.#lines.push(...lines);
    if (this.#open) this.#change();
    else this.#flush();
  }

  /** Writes a line that stays, with the next frame. */
  line(text: string): void {
    if (!this.#open) return this.#screen.write(`${text}\n`);
    this.#lines.push(text);
    this.#change();
  }

  /** Writes what went wrong, at once. */
  error(text: string): void {
    this.#flush();
    this.#screen.error(text);
    this.#change();
  }

  /** Takes the steps away; lines stay. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    this.#watch?.[Symbol.dispose]();
    this.#flush();
  }

  #change(): void {
    if (this.#now() - this.#drawn >= FRAME_SECONDS) this.#draw();
    else this.#stale = true;
  }

  #draw(): void {
    const { columns, rows = 0 } = this.#screen;
    if (!this.#open) return;
    const now = this.#now();
    if (columns > 0) {
      const shown = this.#board.rows({ columns, rows, now });
      // Before there is a plan the clock draws nothing, which is no frame for the first one to wait for.
      if (this.#lines.length + shown.length === 0) return;
      this.#block.draw(this.#lines, shown);
      this.#lines = [];
    } else this.#flush();
    this.#drawn = now;
    this.#stale = false;
  }

  #flush(): void {
    this.#block.clear();
    for (const line of this.#lines) this.#screen.write(`${line}\n`);
    this.#lines = [];
  }
}
