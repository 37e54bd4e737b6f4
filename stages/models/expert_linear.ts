import type { Device, Tensor } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { ExpertRows } from "./layer.ts";
import { type StoredLinear } from "./linear.ts";
import { PackedLinear } from "./packed_linear.ts";
import type { SiteInput } from "./site_input.ts";
import { Weight } from "./weight.ts";

/** Linears that every expert of a layer has, each for the rows that go to its expert. */
export interface ExpertLinear extends Disposable {
  /** Columns of what it makes. */
  readonly outputs: number;
  /** Rows by expert to f32 [rows, outputs of an expert], those of its first linear first. */
  apply(device: Device, input: SiteInput, rows: ExpertRows): Tensor;
}

/** Weights of some experts, one below the other. */
interface Block {
  readonly first: number;
  readonly count: number;
  readonly weight: Weight | PackedLinear;
}

/**
 * Reads linears of experts onto the device, those of each expert together, the first expert first. The
 * weights of as many experts as a tensor holds take one launch.
 */
export async function loadExpertLinears(
  device: Device,
  checkpoint: Checkpoint,
  experts: readonly (readonly StoredLinear[])[],
): Promise<ExpertLinear> {
  const scheme = schemeOf(experts.flat());
  const own = experts[0]!;
  const outputs = own.reduce((sum, { rows }) => sum + rows, 0);
  const nameOf = ({ name, weight }: StoredLinear) => scheme ? name : weight;
  const kind = scheme ? PackedLinear : Weight;
  const most = kind.rowsAtOnce(device, checkpoint, nameOf(own[0]!));
  const together = Math.max(1, Math.floor(most / outputs));
  using stack = new DisposableStack();
  const blocks: Block[] = [];
  for (let first = 0; first < experts.length; first += together) {
    const some = experts.slice(first, first + together);
    const names = some.flat().map(nameOf);
    const weight = stack.use(
      scheme
        ? await PackedLinear.load(device, checkpoint, { names, scheme })
        : await Weight.load(device, checkpoint, names),
    );
    if (some.length > 1 && !weight.whole) {
      throw new TypeError(
        `Cannot place "${
          names[0]
        }" and the experts behind it: they are of several types, expected one`,
      );
    }
    blocks.push({ first, count: some.length, weight });
  }
  const owned = stack.move();
  return {
    outputs,
    apply(device, input, { bounds, most }) {
      const y = device.empty({ dtype: "f32", shape: [input.tokens, outputs] });
      for (const { first, count, weight } of blocks) {
        const experts = { bounds, span: { first, count, most } };
        const place = { y, column: 0, bias: undefined, experts };
        if (weight instanceof Weight) weight.write(device, input.x!, place);
        else weight.write(device, input, place);
      }
      return y;
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** The precision of linears, which run together; throws where it is not the same for all. */
function schemeOf([first, ...others]: readonly StoredLinear[]): StoredLinear["scheme"] {
  const of = ({ scheme }: StoredLinear) => JSON.stringify(scheme);
  const other = others.find((linear) => of(linear) !== of(first!));
  if (!other) return first!.scheme;
  throw new TypeError(
    `Cannot run "${
      first!.name
    }" with "${other.name}": their precisions differ, expected one for all experts of a layer`,
  );
}
