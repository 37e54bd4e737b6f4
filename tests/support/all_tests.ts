import { testFiles } from "./fast_tests.ts";
import { deal, type Hand, runHands } from "./test_run.ts";

/** What takes half a minute and more: these begin first, so that none is left alone at the end. */
const LONG: readonly string[] = [
  "tests/kernels/conformance_test.ts",
  "tests/kernels/device/gpu_second_driver_test.ts",
  "tests/slow/recipes_test.ts",
  "tests/stages/exchange/conformance_test.ts",
  "tests/kernels/batch_order_test.ts",
  "tests/slow/hostile_checkpoints_test.ts",
];

/** All tests, each file in one hand. */
export async function allHands(cores: number): Promise<Hand[]> {
  const files = await testFiles("tests");
  const rest = files.filter((path) => !LONG.includes(path));
  return [...LONG.map((path) => [path]), ...await deal(rest, 8 * cores)];
}

if (import.meta.main) {
  const cores = navigator.hardwareConcurrency;
  const run = { atOnce: cores, memoryBytes: 4 * 2 ** 30, check: true };
  Deno.exit(await runHands(await allHands(cores), run) ? 0 : 1);
}
