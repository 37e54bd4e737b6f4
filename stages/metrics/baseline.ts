import type { Device } from "../../kernels/device/device.ts";
import { withoutValues } from "../../kernels/device/tensor.ts";
import type { DecoderConfig } from "../models/config.ts";
import { headBytes } from "../models/model_facts.ts";
import { openModel } from "../models/architecture.ts";
import type { Model } from "../models/model.ts";
import type { ModelFiles } from "../models/family.ts";
import { Head } from "../models/head.ts";
import {
  type Evaluation,
  type Protocol,
  protocolDifference,
  readEvaluation,
} from "../report/evaluation.ts";
import { compareWindow, type WindowDivergence } from "./divergence.ts";
import { HiddenReader } from "./hidden_file.ts";
import type { WindowState } from "./windows.ts";

/** What a model is compared with: the report of another one, and that model for its head. */
export interface BaselineArtifacts {
  readonly report: { readonly path: string };
  readonly model: { readonly path: string; readonly digest: string };
}

/** An evaluated model to compare with; its layers are not run again. */
export class Baseline implements Disposable {
  readonly config: DecoderConfig;
  readonly perplexity: number;
  /** Bytes of its head as it is stored, and about as many on the device. */
  readonly headBytes: number;
  /** The files of its model; closed with the baseline. */
  readonly files: ModelFiles;
  readonly #hidden: Pick<HiddenReader, "window"> & Disposable;
  #head: Head | undefined;

  private constructor(
    files: ModelFiles,
    hidden: Pick<HiddenReader, "window"> & Disposable,
    perplexity: number,
  ) {
    const { config } = files.architecture;
    this.files = files;
    this.#hidden = hidden;
    this.config = config;
    this.perplexity = perplexity;
    this.headBytes = headBytes(files);
  }

  /** Opens a baseline; throws a `TypeError` unless it was scored by this protocol. */
  static async open({ report, model }: BaselineArtifacts, protocol: Protocol): Promise<Baseline> {
    const evaluation = await readEvaluation(report.path);
    check(evaluation, model.digest, protocol);
    using stack = new DisposableStack();
    const files = stack.use(await openModel(model.path));
    const { hidden: width } = files.architecture.config;
    const hidden = stack.use(
      HiddenReader.open(report.path, { ...protocol, hidden: width }),
    );
    stack.move();
    return new Baseline(files, hidden, evaluation.scores.perplexity);
  }

  /** A baseline of a model's headers, whose hidden states have no values. */
  static ofHeaders(files: ModelFiles, context: number): Baseline {
    const { hidden } = files.architecture.config;
    const values = withoutValues({ dtype: "f32", shape: [context, hidden] });
    const window = (device: Device) => Promise.resolve(device.upload(values));
    return new Baseline(files, { window, [Symbol.dispose]() {} }, NaN);
  }

  /** Compares a model with the baseline in a window; the head stays on the device if the model does. */
  async compare(device: Device, model: Model, state: WindowState): Promise<WindowDivergence> {
    const head = this.#head ?? await Head.load(device, this.files);
    if (model.resident) this.#head = head;
    try {
      using hidden = await this.#hidden.window(device, state.window);
      return await compareWindow(device, model, { ...state, baseline: { head, hidden } });
    } finally {
      if (!model.resident) head[Symbol.dispose]();
    }
  }

  /** Throws a `TypeError` unless a model's logits are of as many tokens as the baseline's. */
  assertComparable({ vocabulary }: DecoderConfig): void {
    if (vocabulary === this.config.vocabulary) return;
    throw new TypeError(
      `Cannot compare with the baseline: the model's vocabulary has ${vocabulary} entries, expected ${this.config.vocabulary} as the baseline's`,
    );
  }

  [Symbol.dispose](): void {
    this.#head?.[Symbol.dispose]();
    this.#hidden[Symbol.dispose]();
    this.files.checkpoint[Symbol.dispose]();
  }
}

function check(
  { hidden, protocol, model }: Evaluation,
  digest: string,
  expected: Protocol,
): void {
  const difference = protocolDifference(protocol, expected);
  const problem = !hidden
    ? "it keeps no hidden states, expected them; set keep_hidden: true on the baseline's evaluate step"
    : difference !== undefined
    ? `${difference}; give both evaluate steps the same tokens and parameters`
    : model.digest !== digest
    ? `it is of model ${model.digest.slice(0, 12)}, expected baseline_model ${digest.slice(0, 12)}`
    : undefined;
  if (problem === undefined) return;
  throw new TypeError(`Cannot compare with the baseline's report: ${problem}`);
}
