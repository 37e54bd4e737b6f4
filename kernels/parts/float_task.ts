import { counts } from "../device/kernel.ts";
import { type ExpertSpan, expertTiles } from "./expert_rows.ts";

/** Columns of a task where weights go into panels of six, and where a row alone reads them. */
const PANEL_COLUMNS = 36;
const LINE_COLUMNS = 64;
/** Rows that share the panels of a task, as many as the second cache has room for. */
const TASK_ROWS = 96;

/** How the CPU engine cuts a product of floats into blocks, a task each. */
export function floatTask(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { panels, experts }: { readonly panels: boolean; readonly experts?: ExpertSpan | undefined },
) {
  const taskColumns = panels ? PANEL_COLUMNS : LINE_COLUMNS;
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
