import type { EChartsCoreOption } from "echarts/core";

const STYLE = ".plot{color:#24292f}@media(prefers-color-scheme:dark){.plot{color:#d0d7de}}";
const TEXT = { fontFamily: "system-ui, sans-serif" };

/**
 * Draws a chart of echarts as SVG, light on dark where the viewer prefers that.
 *
 * The bytes depend on the chart alone: the library numbers what may be pointed at by a count of the
 * process, which a picture does not need, and ids begin with `name` instead of the chart's number.
 */
export async function drawSvg(
  name: string,
  size: { readonly width: number; readonly height: number },
  option: EChartsCoreOption,
): Promise<string> {
  // The library takes a quarter of a second to load, which only who draws should pay.
  const echarts = await import("echarts/core");
  const { BarChart, HeatmapChart, LineChart, ScatterChart } = await import("echarts/charts");
  const { GridComponent, LegendComponent, TitleComponent, VisualMapComponent } = await import(
    "echarts/components"
  );
  const { SVGRenderer } = await import("echarts/renderers");
  echarts.use([BarChart, HeatmapChart, LineChart, ScatterChart, SVGRenderer]);
  echarts.use([GridComponent, LegendComponent, TitleComponent, VisualMapComponent]);
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, ...size });
  try {
    chart.setOption({ animation: false, textStyle: TEXT, ...option });
    return chart.renderToSVGString()
      .replaceAll(/ class="zr\d+-cls-\d+"/g, "")
      .replaceAll(/<style\b.*?<\/style>\s*/gs, "")
      .replaceAll(/\bzr\d+-/g, `${name}-`)
      .replace(/ xmlns:xlink="[^"]*"/, "")
      .replace(/^<svg ([^>]*)>/, `<svg class="plot" role="img" $1>\n<style>${STYLE}</style>`);
  } finally {
    chart.dispose();
  }
}
