import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { Activation } from "../../kernels/glu.ts";
import { embed, groupByExpert, mixExperts, routeTokens } from "../../kernels/mod.ts";
import { type ExpertLinear, loadExpertLinears } from "./expert_linear.ts";
import type { ExpertsConfig } from "./experts_config.ts";
import type { LayerOutline, ModelFiles } from "./family.ts";
import type { ExpertRows, Observe } from "./layer.ts";
import { type Linear, loadLinears } from "./linear.ts";
import type { LayerLinear, LayerSite } from "./site.ts";
import { gatedInput, openSiteForm, type SiteForm, siteInput } from "./site_input.ts";
import { Weight } from "./weight.ts";

/** Linears of one MLP, and what happens before them. */
interface Parts<L> {
  /** What gates go through. */
  readonly activation: Activation;
  /** Gates and what they gate, side by side. */
  readonly into: L;
  readonly outOf: L;
  readonly forms: { readonly into: SiteForm; readonly outOf: SiteForm };
}

/**
 * The experts of a layer on the device. All that is decided by tokens is decided there: a launch has the
 * shape of the most that could go to an expert, so that it can be put on record.
 */
export class Experts implements Disposable {
  readonly #config: ExpertsConfig;
  readonly #routers: Weight;
  /** The experts that a router chooses from. */
  readonly chosen: Parts<ExpertLinear>;
  /** The one that all tokens go through. */
  readonly shared: Parts<Linear> | undefined;
  readonly #owned: DisposableStack;

  private constructor(
    config: ExpertsConfig,
    { routers, experts, shared }: {
      readonly routers: Weight;
      readonly experts: Parts<ExpertLinear>;
      readonly shared: Parts<Linear> | undefined;
    },
    owned: DisposableStack,
  ) {
    this.#config = config;
    this.#routers = routers;
    this.chosen = experts;
    this.shared = shared;
    this.#owned = owned;
  }

  /** Reads the experts of a layer that has them. */
  static async load(
    device: Device,
    { checkpoint, record, architecture: { config }, rounded: values }: ModelFiles,
    outline: LayerOutline,
  ): Promise<Experts> {
    using stack = new DisposableStack();
    const { experts: { count } = { count: 0 }, activation } = config;
    const stored = (linear: LayerLinear) => ({ ...linear, scheme: record.linears[linear.name] });
    const formOf = ({ role, channels }: LayerSite, [linear]: readonly LayerLinear[]) => {
      const { inputs } = stored(linear!).scheme ?? {};
      const hadamard = record.hadamard.includes(role);
      const rounded = values?.[linear!.name];
      return stack.use(openSiteForm(device, { hadamard, channels, inputs, rounded }));
    };
    const input = outline.site("mlp.in");
    const byExpert = Map.groupBy(input.linears, ({ expert }) => expert);
    const sites = Array.from({ length: count }, (_, expert) => outline.site("mlp.out", expert));
    const linearsOf = async (experts: readonly (readonly LayerLinear[])[]) =>
      stack.use(
        await loadExpertLinears(device, checkpoint, experts.map((each) => each.map(stored))),
      );
    const routers = input.routers!.map(({ weight }) => weight);
    const into = sites.map(({ expert }) => byExpert.get(expert)!);
    const experts = {
      activation,
      into: await linearsOf(into),
      outOf: await linearsOf(sites.map(({ linears }) => linears)),
      forms: { into: formOf(input, into[0]!), outOf: formOf(sites[0]!, sites[0]!.linears) },
    };
    const beside = byExpert.get(undefined);
    const shared = beside && await loadShared(beside);
    return new Experts(config.experts!, {
      routers: stack.use(await Weight.load(device, checkpoint, routers)),
      experts,
      shared,
    }, stack.move());

    async function loadShared(into: readonly LayerLinear[]): Promise<Parts<Linear>> {
      const site = outline.site("mlp.out");
      const load = async (linears: readonly LayerLinear[]) =>
        stack.use(await loadLinears(device, checkpoint, linears.map(stored)));
      return {
        activation,
        into: await load(into),
        outOf: await load(site.linears),
        forms: { into: formOf(input, into), outOf: formOf(site, site.linears) },
      };
    }
  }

  /** Columns a token of the widest that lies between, of all rows that it makes for experts. */
  get width(): number {
    const { into, outOf } = this.chosen;
    const own = this.#config.chosen * Math.max(into.outputs, outOf.outputs);
    return Math.max(own, this.shared?.into.outputs ?? 0);
  }

  /** What the experts make of a normalized input, f32 [tokens, hidden]. */
  run(device: Device, x: TensorRef, observe: Observe | undefined): Tensor {
    const { count, chosen, normalized } = this.#config;
    if (observe) {
      using input = siteInput(device, x, { form: this.chosen.forms.into, whole: true });
      observe("mlp.in", input.x!);
    }
    using scores = this.#routers.apply(device, x);
    const routed = device.run(routeTokens, { scores }, { experts: count, chosen, normalized });
    using weights = routed.weights;
    using experts = routed.experts;
    const grouped = device.run(groupByExpert, { experts }, { count });
    using tokens = grouped.tokens;
    using places = grouped.places;
    using bounds = grouped.bounds;
    using made = this.#chosen(device, { x, tokens }, { bounds, most: x.shape[0]! }, observe);
    if (!this.shared) return device.run(mixExperts, { x: made, places, weights }, {}).y;
    using beside = runShared(device, this.shared, x, observe);
    const inputs = { x: made, places, weights, beside, scores };
    return device.run(mixExperts, inputs, { gate: count }).y;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** What each expert makes of its rows, f32 [tokens * chosen, hidden]. */
  #chosen(
    device: Device,
    { x, tokens }: { readonly x: TensorRef; readonly tokens: Tensor },
    rows: ExpertRows,
    observe: Observe | undefined,
  ): Tensor {
    const { into, outOf, forms, activation } = this.chosen;
    using own = device.empty({ dtype: "f32", shape: [tokens.shape[0]!, x.shape[1]!] });
    device.run(embed, { tokens, embeddings: x, y: own }, {});
    const whole = observe !== undefined;
    using input = siteInput(device, own, { form: forms.into, whole });
    observe?.("mlp.in", input.x!, rows);
    using both = into.apply(device, input, rows);
    using inner = gatedInput(device, both, {
      form: forms.outOf,
      whole,
      activation,
    });
    if (inner.x) observe?.("mlp.out", inner.x, rows);
    return outOf.apply(device, inner, rows);
  }
}

/** What the expert that all tokens go through makes of them, f32 [tokens, hidden]. */
function runShared(
  device: Device,
  { into, outOf, forms, activation }: Parts<Linear>,
  x: TensorRef,
  observe: Observe | undefined,
): Tensor {
  using input = siteInput(device, x, { form: forms.into, whole: false });
  using both = into.apply(device, input);
  using inner = gatedInput(device, both, {
    form: forms.outOf,
    whole: observe !== undefined,
    activation,
  });
  if (inner.x) observe?.("mlp.out", inner.x);
  return outOf.apply(device, inner);
}
