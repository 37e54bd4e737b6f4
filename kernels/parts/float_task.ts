import { counts } from "../device/kernel.ts";
import { type ExpertSpan, expertTiles } from "./expert_rows.ts";
import { taskBytes } from "./task_bytes.ts";

/** Columns of a task where weights go into panels of six, and where a row alone reads them, at least. */
const PANEL_COLUMNS = 36;
const LINE_COLUMNS = 64;
/** Rows that share the panels of a task, as many as the second cache has room for. */
const TASK_ROWS = 96;

/** How the CPU engine cuts a product of floats into blocks, a task each; a column has so many bytes. */
export function floatTask(
  { rows, columns, columnBytes }: {
    readonly rows: number;
    readonly columns: number;
    readonly columnBytes: number;
  },
  { panels, experts }: { readonly panels: boolean; readonly experts?: ExpertSpan | undefined },
) {
  const read = Math.ceil(taskBytes(columns * columnBytes) / columnBytes / 4) * 4;
  const taskColumns = panels ? PANEL_COLUMNS : Math.max(LINE_COLUMNS, read);
  const down = experts ? expertTiles(experts, rows, TASK_ROWS) : Math.ceil(rows / TASK_ROWS);
  return {
    tasks: down * Math.ceil(columns / taskColumns),
    args: counts({
      task_rows: TASK_ROWS,
      task_columns: taskColumns,
      experts: experts?.count ?? 0,
    }),
  };
}
