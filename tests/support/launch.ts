import type { Device, HostTensor } from "../../kernels/device/device.ts";
import type { AnyKernel } from "../../kernels/device/kernel.ts";

/** Contents of tensors by their names in a kernel. */
export type Hosts = Readonly<Record<string, HostTensor>>;

/** What one launch of a kernel takes, and the names of what is read after it. */
export interface LaunchCase {
  readonly inputs: Hosts;
  readonly options?: object;
  readonly names: readonly string[];
}

/** Launches a kernel once and gives the content of some of its inputs and outputs after that. */
export async function launch(
  device: Device,
  kernel: AnyKernel,
  { inputs, options = {}, names }: LaunchCase,
): Promise<Hosts> {
  using stack = new DisposableStack();
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, host]) => [name, stack.use(device.upload(host))]),
  );
  const outputs = device.run(kernel, given, options);
  for (const output of Object.values(outputs)) stack.use(output);
  const read: Record<string, HostTensor> = {};
  for (const name of names) read[name] = await device.read({ ...given, ...outputs }[name]!);
  return read;
}
