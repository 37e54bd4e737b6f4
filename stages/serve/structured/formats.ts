/** Patterns of strings by the names that JSON Schema has for them (2020-12, validation, section 7.3). */
export const STRING_FORMATS: Readonly<Record<string, string>> = {
  // RFC 3339, section 5.6; days that every month has.
  "date": "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])",
  "time": "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+\\-]([01]\\d|2[0-3]):[0-5]\\d)",
  "date-time": "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d" +
    "(\\.\\d{1,6})?(Z|[+\\-]([01]\\d|2[0-3]):[0-5]\\d)",
  // RFC 3339, appendix A.
  "duration":
    "P(\\d{1,4}W|\\d{1,4}Y(\\d{1,2}M(\\d{1,2}D)?)?|\\d{1,4}D(T\\d{1,2}H(\\d{1,2}M)?)?|T\\d{1,4}[HMS])",
  // RFC 5321, section 4.1.2, without quoted names and addresses in brackets.
  "email":
    "[A-Za-z0-9_%+\\-]{1,32}(\\.[A-Za-z0-9_%+\\-]{1,32}){0,3}@([a-z0-9]{1,32}\\.){1,3}[a-z]{2,10}",
  // RFC 1123, section 2.1.
  "hostname": "[a-z0-9]([a-z0-9\\-]{0,30}[a-z0-9])?(\\.[a-z0-9]([a-z0-9\\-]{0,30}[a-z0-9])?){0,4}",
  // RFC 2673, section 3.2.
  "ipv4":
    "(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])(\\.(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])){3}",
  // RFC 4291, section 2.2, form 1.
  "ipv6": "[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}",
  // RFC 4122, section 3.
  "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
  // RFC 3986, section 3, with a host.
  "uri":
    "[a-z][a-z0-9+.\\-]{1,10}://([a-z0-9\\-]{1,32}\\.){1,3}[a-z]{2,10}(:\\d{1,4})?(/[A-Za-z0-9._~\\-]{0,64}){0,8}" +
    "(\\?[A-Za-z0-9=&._~\\-]{0,64})?(#[A-Za-z0-9._~\\-]{0,64})?",
};
