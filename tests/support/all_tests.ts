import { testFiles } from "./fast_tests.ts";
import { deal, type Hand, runHands } from "./test_run.ts";

/**
 * What takes ten seconds and more, the longest first: these begin first, so that none is left alone at
 * the end.
 */
const LONG: readonly string[] = [
  "tests/slow/kill_commands_test.ts",
  "tests/kernels/device/gpu_second_driver_test.ts",
  "tests/slow/recipes_test.ts",
  "tests/stages/exchange/conformance_test.ts",
  "tests/kernels/conformance_test.ts",
  "tests/slow/restate_test.ts",
  "tests/slow/documents_test.ts",
  "tests/slow/hostile_checkpoints_test.ts",
  "tests/stages/commands/serve_models_test.ts",
  "tests/stages/serve/structured/answer_grammar_served_test.ts",
  "tests/stages/models/packed_linear_test.ts",
  "tests/stages/serve/serve_model_faults_test.ts",
  "tests/slow/forecasts_test.ts",
  "tests/slow/store_faults_test.ts",
  "tests/slow/mmlu_questions_test.ts",
  "tests/slow/fuzz_test.ts",
  "tests/kernels/tune_choices_test.ts",
];

/**
 * All tests, each file in one hand. Few hands share what a process compiles with many files; the last
 * ones are small, so that all cores end at about the same time.
 */
export async function allHands(cores: number): Promise<Hand[]> {
  const files = await testFiles("tests");
  const rest = files.filter((path) => !LONG.includes(path));
  const shares = Array.from({ length: 6 * cores }, (_, at) => 7 * cores - at);
  return [...LONG.map((path) => [path]), ...await deal(rest, shares)];
}

/** More processes than cores, for some tests wait: for programs that they start, for clocks and clients. */
if (import.meta.main) {
  const cores = navigator.hardwareConcurrency;
  const run = { atOnce: 2 * cores, memoryBytes: 4 * 2 ** 30, check: true };
  Deno.exit(await runHands(await allHands(cores), run) ? 0 : 1);
}
