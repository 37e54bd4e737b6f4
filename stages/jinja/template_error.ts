/** Why a template cannot be read or rendered: its own complaint, or what Jinja would say. */
export class TemplateError extends Error {
  override name = "TemplateError";
}
