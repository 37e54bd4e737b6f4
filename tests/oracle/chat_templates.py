"""Writes tests/testdata/chat_templates.json: what transformers renders of small chat templates, a feature of published ones each.

Usage: chat_templates.py. Needs `pip install transformers jinja2` (written for 5.24 and 3.1.6). A case that fails there
has no text.
"""

import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

MESSAGES = [
    {"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "  Hi <b>\"you\"</b> 'x' \u00e9\U0001f600\n\n"},
    {"role": "assistant", "content": "Sure &amp; \u65e5\u672c", "tool_calls": [
        {"type": "function", "id": "abc123def", "function": {"name": "sum", "arguments": {"a": 1, "b": [True, None, 2.5], "c": "\u00fc\"\n"}}}]},
    {"role": "tool", "content": "3", "name": "sum", "tool_call_id": "abc123def"}, {"role": "user", "content": [{"type": "text", "text": "Thanks"}, {"type": "image"}]}]
TOOLS = [{"type": "function", "function": {"name": "sum", "description": "Adds <numbers>.", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer", "enum": [1, 2]}, "b": {"type": "array"}}, "required": ["a"]}}}]
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}

TEMPLATES = r"""
tools none|{% if tools is not none %}[TOOLS]{% endif %}{% if tools is defined %}def{% endif %}{% if documents %}docs{% endif %}{{ tools }}{{ documents }}
strip characters|{% for m in messages %}{% if m.content is string %}{{ m.content.strip('\\n') }}|{{ m['content'].rstrip() }}|{{ m.content.lstrip(' H') }}|{% endif %}{% endfor %}
chatml|{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content']|string + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
generation prompt|{{ add_generation_prompt }}{{ not add_generation_prompt }}{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
undefined tokens|{{ pad_token }}{{ bos_token }}{% if pad_token is defined %}pad{% else %}no pad{% endif %}{{ nothing is undefined }}
printing|{{ true }} {{ False }} {{ none }} {{ [1, 'a', "it's", none, true, 1.0, 1e16, 1e-5, 0.1] }} {{ {'a': 1, 'b': 'x\\ny'} }} {{ (1,) }} {{ () }} {{ "" }}
code points|{{ messages[1].content|length }} {{ messages[1].content[-3] }} {{ messages[1].content[20:23] }} {{ '\U0001f600ab'[::-1] }} {{ '\U0001f600'|length }}
namespace|{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.found = true %}{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ ns.found }} {{ ns.n }}
loop scope|{% set x = 1 %}{% for i in [1,2,3] %}{{ x }}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
loop variables|{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role if loop.previtem is defined }}{{ loop.nextitem.role if not loop.last }} {% endfor %}
break continue|{% for m in messages %}{% if m.role == 'assistant' %}A{% continue %}{% endif %}{{ m.role }}{% if m.role == 'tool' %}!{% break %}{% endif %};{% endfor %}
loop else|{% for m in [] %}x{% else %}none{% endfor %}{% for m in messages if m.role == 'nobody' %}x{% else %}nobody{% endfor %}
loop filter|{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }} {% endfor %}
loop recursive|{% for item in [[1, [2, 3]], [4]] recursive %}{% if item is iterable %}({{ loop(item) }}){% else %}{{ item }}.{{ loop.depth }}{% endif %}{% endfor %}
loop cycle changed|{% for m in messages %}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role == 'user') }} {% endfor %}
loop unpacking|{% for key, value in messages[3].items() %}{{ key }}={{ value }};{% endfor %}{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
tuple assignment|{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}
set block|{% set text %}  <{{ messages[0].role }}>  {% endset %}[{{ text }}]{% set up | upper | trim %} abc {% endset %}[{{ up }}]
macro|{% macro tag(name, text='none', sep=':') %}<{{ name }}{{ sep }}{{ text }}>{% endmacro %}{{ tag('a') }}{{ tag('b', sep='=', text=1) }}{{ tag() }}
macro varargs|{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}{{ f(*[1, 2], **{'y': 5}) }}
macro recursion|{% macro show(x) %}{% if x is mapping %}{ {%- for k, v in x.items() %}{{ k }}:{{ show(v) }},{% endfor -%} }{% else %}{{ x }}{% endif %}{% endmacro %}{{ show(tools[0] if tools else {'a': {'b': 1}}) }}
macro scope|{% set x = 'outer' %}{% macro f() %}{{ x }}{% set x = 'inner' %}{{ x }}{% endmacro %}{{ f() }}{{ x }}{% set x = 'later' %}{{ f() }}
macro sees globals later|{% macro f() %}{{ y }}{% endmacro %}{% set y = 5 %}{{ f() }}
call block|{% macro box(title) %}[{{ title }}: {{ caller() }}]{% endmacro %}{% call box('t') %}body {{ messages|length }}{% endcall %}{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each([1,2]) %}<{{ i }}>{% endcall %}
filter block|{% filter upper | replace('A', '4') %}abc {{ messages[0].role }}{% endfilter %}
with|{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
raise fails|{% if messages[0].role == 'system' %}{{ raise_exception('No system, please!') }}{% endif %}x
raise unless alternating fails|{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% endfor %}
generation|{% for m in messages %}{% if m.role == 'assistant' %}{%- generation -%}  {{ m.content }}  {%- endgeneration -%}{% else %}{{ m.role }} {% endif %}{% endfor %}
generation scope|{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}
white space control|  {%- if true -%}   a   {%- endif -%}   b {{- ' c ' -}} d {%+ if true %}  e{%- endif %}
trim blocks|{% if true %}\n  line\n{% endif %}\n{{ 'x' }}\n  {% if true %}y{% endif %}\n\n  {{ 'z' }}\n\t{# comment #}\nend\n\n
comments|a{# x #}b {#- y -#} c{# {{ z }} {% if %} #}\nd
comment at line start|  {# one #}\n  {#- two #}\n{{ 1 }}   {# three -#}   \n   x
raw|{% raw %}{{ not rendered }} {% if %}{% endraw %}|{%- raw -%}  x  {%- endraw -%} |
crlf|a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\rd
lstrip after text|x  {% if true %}y{% endif %}  {% if true %}z{% endif %}\n  \t{% set q = 1 %}w
tojson|{{ tools|tojson }}{{ messages[2].tool_calls[0].function.arguments|tojson }}{{ "<a href='x'>&" | tojson }}
tojson with tools|{{ mytools|tojson }}\n{{ mytools|tojson(indent=2) }}\n{{ mytools[0]|tojson(indent=4, sort_keys=true) }}
tojson options|{{ {'b': 'é😀', 'a': [1, 2.0, none, true]}|tojson(ensure_ascii=true) }}{{ {'b': [], 'a': {}}|tojson(indent=2) }}{{ [1, {'x': 2}]|tojson(separators=(',', ':')) }}{{ '\\x7f\\x01/'|tojson }}{{ '\\x7f'|tojson(ensure_ascii=true) }}
tojson of numbers|{{ [1, 1.0, 1e100, 1e-7, 123456789012345678901234567890, -0.0, 3.14]|tojson }}{{ {1: 'a', none: 'b', 2.5: 'c'}|tojson }}
tojson of undefined fails|{{ nothing|tojson }}
string of numbers|{{ 1 + 1 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1.5 * 2 }} {{ 10 % 3.5 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 1_000 + 0x1f }}
concatenation|{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] ~ nothing }}{{ 'x' * 3 }}{{ [1] + [2] }}{{ (1, 2) + (3,) }}{{ 'a' 'b' "c" }}
concatenation of number fails|{{ 'a' + 1 }}
concatenation of none fails|{{ 'a' + none }}
comparisons|{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ [1] == [1] }} {{ {'a': [1]} == {'a': [1]} }} {{ 'a' in 'cat' }} {{ 'x' not in ['x'] }} {{ 'role' in messages[0] }} {{ none == nothing }} {{ nothing == nothing2 }}
comparison of kinds fails|{{ 1 < 'a' }}
in none fails|{{ 'a' in none }}
in undefined|{{ 'a' in nothing }} {{ 'a' not in nothing }}
logic|{{ 'a' or 'b' }} {{ '' or 'b' }} {{ 'a' and 0 }} {{ not '' }} {{ not [] and not {} }} {{ [] or none }} {{ 1 if '' }}|{{ 1 if '' else 2 if 0 else 3 }}
precedence|{{ not 1 in [1] }} {{ 1 ~ 3 * 2 }} {{ (1 + 2) ~ 3 }} {{ -1|abs }} {{ 'a' ~ 'b'|upper }} {{ 1 + 25|string|length }} {{ not true == false }} {{ 2 is odd or 3 is odd }} {{ '3'|int + 1 }} {{ [3,1]|sort|first }}
tests|{{ 1 is number }} {{ 1 is integer }} {{ 1.0 is float }} {{ true is integer }} {{ true is number }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ {} is iterable }} {{ {} is sequence }} {{ none is none }} {{ 1 is boolean }} {{ false is boolean }} {{ true is true }} {{ 'A' is upper }} {{ 'a' is lower }} {{ range is callable }}
tests with arguments|{{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 2 is gt 1 }} {{ 1 is in [1, 2] }} {{ 'a' is in 'abc' }} {{ 1 is sameas true }} {{ 1 is not eq 2 }} {{ 3 is ne 3 }} {{ 1 is le 1 }}
select and reject|{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'in', ['user', 'tool'])|map(attribute='role')|join(',') }} {{ [0, 1, '', 'a']|select|list }} {{ [1, 2, 3]|reject('odd')|list }} {{ messages|selectattr('name', 'defined')|first|tojson }} {{ messages|selectattr('tool_calls')|list|length }}
generators are true|{% if messages|selectattr('role', 'equalto', 'nobody') %}true{% endif %}{% set g = [1, 2]|map('string') %}{{ g|join('-') }}{{ g|join('-') }}
length of generator fails|{{ [1, 2]|map('string')|length }}
map|{{ ['a', 'b']|map('upper')|join }} {{ messages|map(attribute='content')|map('string')|map('length')|list }} {{ ['a b', 'c']|map('replace', ' ', '_')|list }} {{ messages|map(attribute='nothing', default='d')|join('') }} {{ [[1, 2], [3]]|map('first')|list }}
join|{{ [1, none, 'a', 2.0]|join(', ') }} {{ messages|join(', ', attribute='role') }} {{ 'abc'|join('-') }} {{ []|join }}
first and last|{{ [1, 2]|first }}{{ [1, 2]|last }}{{ 'abc'|first }}{{ 'abc'|last }}{{ []|first }}{{ messages|last|attr('get') is callable }}{{ {'a': 1}|first }}
sort|{{ [3, 1, 2]|sort }} {{ ['b', 'A', 'c']|sort }} {{ ['b', 'A', 'c']|sort(case_sensitive=true) }} {{ [3, 1]|sort(reverse=true) }} {{ messages|sort(attribute='role')|map(attribute='role')|join(',') }}
unique and groupby|{{ [1, 2, 1, 'a', 'A']|unique|list }} {% for role, items in messages|groupby('role') %}{{ role }}:{{ items|length }} {% endfor %}{% for g in messages|groupby('role') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}
dictsort and items|{% for k, v in {'b': 1, 'A': 2}|dictsort %}{{ k }}{{ v }}{% endfor %} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {% for k, v in {'x': 1}|items %}{{ k }}{{ v }}{% endfor %}{{ {'a': 1}.items() }}{{ {'a': 1}.keys()|list }}{{ {'a': 1}.values() }}
default|{{ nothing|default('x') }}{{ ''|default('x') }}{{ ''|default('x', true) }}{{ none|default('x') }}{{ nothing|d }}{{ messages[0].name|default('noname') }}
indent|{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(2, blank=true) }}|{{ 'a\\nb\\n'|indent('> ') }}
string filters|{{ ' a '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ 'hello wORLD it\\'s a-b'|title }}|{{ 'hELLO'|capitalize }}|{{ 'abc'|upper }}{{ 'ABC'|lower }}|{{ 'a-a-a'|replace('-', '+', 1) }}|{{ 'abc'|reverse }}|{{ [1, 2]|reverse|list }}|{{ 'ab c'|wordcount }}|{{ 'x'|center(5) }}|
numbers|{{ '42'|int }} {{ '4.7'|int }} {{ 'x'|int(7) }} {{ ' 12 '|int }} {{ 3.7|int }} {{ '1.5'|float }} {{ 'y'|float }} {{ 2|float }} {{ 2.567|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.1|round(0, 'ceil') }} {{ 7|round }} {{ -3|abs }} {{ 2.567|round|int }} {{ true|int }}
sum min max|{{ [1, 2, 3]|sum }} {{ [1.5, 2]|sum }} {{ [3, 1]|min }} {{ ['b', 'A']|max }} {{ messages|map(attribute='role')|map('length')|sum }} {{ [{'n': 1}, {'n': 2}]|sum(attribute='n') }}
batch and slice|{{ [1, 2, 3]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 0)|list }} {{ [1, 2, 3, 4, 5]|slice(2)|list }}
format|{{ '%s is %d and %.2f%%'|format('x', 3, 1.239) }} {{ '%s-%s' % ('a', 1) }} {{ '{} {0}'.format(1) if false else '{0}{1}{0}'.format('a', 'b') }} {{ '{a}{{}}{b}'.format(a=1, b=[1]) }} {{ '%03d' % 7 }} {{ '%5s|' % 'a' }}
string methods|{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a.b.c'.rsplit('.', 1) }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('x') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'aaa'.count('a') }} {{ '-'.join(['a', 'b']) }} {{ 'k=v'.partition('=') }}
more string methods|{{ 'Hello World'.swapcase() }} {{ "they're bill's".title() }} {{ 'hELLO'.capitalize() }} {{ 'abc'.center(7, '*') }} {{ 'ab'.center(5) }}| {{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.ljust(3) }}|{{ 'a'.rjust(3) }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' \\n'.isspace() }} {{ 'AB'.isupper() }} {{ 'a1'.islower() }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'ß'.upper() }} {{ 'ΑΣ'.lower() }} {{ 'ǆ'.title() }}
think splitting|{% set c = '<think>\\nhm\\n</think>\\n\\nAnswer' %}{% if '</think>' in c %}{{ c.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}|{{ c.split('</think>')[-1].lstrip('\\n') }}{% endif %}
slices|{{ messages[1:]|length }} {{ messages[::-1]|map(attribute='role')|join(',') }} {{ messages[-1].role }} {{ [1,2,3][:2] }} {{ [1,2,3][5:] }} {{ 'hello'[1:-1] }} {{ 'hello'[::2] }} {{ (1,2,3)[1:] }} {{ [1,2,3][-2:] }} {{ [1,2,3][2:0:-1] }}
index of nothing|{{ messages[99] }}|{{ messages[0].nothing }}|{{ messages[0]['nothing'] }}|{{ 'abc'[9] }}|{{ none.x }}
attribute of undefined fails|{{ nothing.x }}
call of undefined fails|{{ nothing() }}
method of none fails|{{ none.strip() }}
dict methods shadow keys|{% set d = {'items': 5, 'get': 1, 'x': 2} %}{{ d.items is callable }} {{ d['items'] }} {{ d.x }} {{ d.get('x') }} {{ d.get('y') }} {{ d.get('y', 3) }}
change of a list fails|{% set l = [1] %}{{ l.append(2) }}
change of a dict fails|{% set d = {} %}{{ d.update({'a': 1}) }}
namespace of list|{% set ns = namespace(l=[]) %}{% for i in range(3) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l }} {{ ns.missing }} {{ namespace({'a': 1}).a }}
attribute of a dict set fails|{% set d = {} %}{% set d.a = 1 %}
underscores are unsafe|{{ ''.__class__ }}|{{ ().__class__ is defined }}
underscores called fails|{{ ''.__class__.mro() }}
range|{{ range(3)|list }} {{ range(1, 10, 3)|list }} {{ range(3, 0, -1)|list }} {{ range(3) }} {{ range(5)[2] }} {{ range(3)|length }} {{ 2 in range(3) }}{% for i in range(2) %}{{ i }}{% endfor %}
large range fails|{% for i in range(1000000000) %}x{% endfor %}
range of float fails|{{ range(2.0)|list }}
dict function|{{ dict(a=1, b='x') }} {{ dict([['k', 'v']]) }} {{ dict({'a': 1}, b=2).b }}
joiner and cycler|{% set j = joiner('|') %}{% for i in [1,2,3] %}{{ j() }}{{ i }}{% endfor %}{% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}
strftime|{{ strftime_now('%%') }}{{ strftime_now('%Y')|int > 2000 }}{{ strftime_now('%d %b %Y')|length }}
escapes|{{ 'a\\tb\\\\n\\'q\\' \\x41\\u00e9\\U0001f600 \\d' }}{{ "it's" }}
nested quotes in dict|{{ {"a": {'b': "c"}}['a']['b'] }}{{ {'a': 1,}.a }}{{ [1, 2,][1] }}
inline dict in output|{{ {'x': [1, {'y': 2}]} }}{{ {} }}
expression with pipes and tests in if|{% if messages[0]['role'] == 'system' and messages[0].content is string and (messages|length > 1 or false) %}yes{% elif tools %}tools{% else %}no{% endif %}
content lists|{% for m in messages %}{% if m.content is string %}{{ m.content|trim }}{% else %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}{% endif %};{% endfor %}
tool calls|{% for m in messages %}{% if m.tool_calls is defined and m.tool_calls %}{% for c in m.tool_calls %}{% set f = c.function if c.function is defined else c %}{{ f.name }}({{ f.arguments if f.arguments is string else f.arguments|tojson }}){{ c.id|length }}{{ c.id[-9:] }}{% endfor %}{% endif %}{% endfor %}
last user index|{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages[:ns.last] %}{{ m.role }},{% endfor %}{{ ns.last }}
multi step tool|{% set ns = namespace(multi=true, last=messages|length - 1) %}{% for m in messages[::-1] %}{% set index = (messages|length - 1) - loop.index0 %}{% if ns.multi and m.role == 'user' and m.content is string %}{% set ns.multi = false %}{% set ns.last = index %}{% endif %}{% endfor %}{{ ns.last }}
system merged|{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() %}{% else %}{% set loop_messages = messages %}{% set system_message = '' %}{% endif %}{% for m in loop_messages %}{% if loop.index0 == 0 %}{{ bos_token + '[INST] ' + system_message + '\\n\\n' + m.content.strip() + ' [/INST]' }}{% endif %}{% endfor %}
reasoning|{{ messages[0].reasoning_content }}{% for m in thoughts %}{{ m.content }}{% endfor %}
enable thinking|{% if enable_thinking is defined and enable_thinking is false %}off{% else %}on{% endif %}{% if flag %}flag{% endif %}{{ number + 1 }}{{ nested.a[0].b }}
schema walk|{% for name, spec in mytools[0].function.parameters.properties.items() %}{{ name }}{{ '?' if name not in mytools[0].function.parameters.required }}: {{ spec.type }}{% if spec.enum %} ({{ spec.enum|map('string')|join(' or ') }}){% endif %}{% if not loop.last %}, {% endif %}{% endfor %}
list of types|{% macro t(s) %}{% if s.type is string %}{{ s.type }}{% elif s.type is iterable %}{{ s.type|join(' or ') }}{% endif %}{% endmacro %}{{ t({'type': ['string', 'null']}) }}{{ t({'type': 'x'}) }}
unknown filter unused|{% if false %}{{ 1|nonsense }}{% endif %}
unknown test unused|{% if false %}{{ 1 is nonsense }}{% endif %}
unknown filter fails|{{ 1|nonsense }}
unknown test fails|{{ 1 is nonsense }}
concatenation before sums fails|{{ 1 + 2 ~ 3 }}
syntax fails|{% if %}x{% endif %}
unclosed fails|{% for a in b %}x
unknown tag fails|{% blub %}
math of none fails|{{ none + 1 }}
iteration of number fails|{% for i in 5 %}{{ i }}{% endfor %}
division by zero fails|{{ 1 / 0 }}
truncate|{{ 'hello beautiful world out there'|truncate(12) }}|{{ 'hello world'|truncate(20) }}|{{ 'hello beautiful world'|truncate(9, true) }}|{{ 'hello beautiful world'|truncate(11, false, '…', 0) }}
print of functions|{{ namespace is callable }}{{ raise_exception is defined }}{{ messages|attr('nothing') }}
unicode names|{% set größe = 3 %}{{ größe }}{% set _x = 1 %}{{ _x }}
filter with spread|{{ [1, 2]|join(*['-']) }}{{ 'x'|replace(**{'old': 'x', 'new': 'y'}) }}
conditional loop target|{% for m in (messages if true else []) %}{{ m.role[0] }}{% endfor %}{% for x in [1, 2] + [3] %}{{ x }}{% endfor %}
float text|{{ 1e15 }} {{ 1e16 }} {{ 123456789.123 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1.0 }} {{ 100.0 * 1.1 }} {{ 1/3 }} {{ 2.5e-10 }} {{ -0.0 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}
repr of texts|{{ ["a'b", 'a"b', 'a\\'"b', 'é😀', '\\x00\\x1b\\x7f\\xa0', '\\u200b', '\\n\\t\\r\\\\'] }}
""".strip("\n").split("\n")


def render(template, variables):
    data = {"thoughts": [], "mytools": TOOLS, "flag": True, "number": 1, "nested": {"a": [{"b": "deep"}]}, "enable_thinking": False}
    texts, _ = render_jinja_template(conversations=[json.loads(json.dumps(MESSAGES))], tools=None, documents=None, chat_template=template,
                                     add_generation_prompt=True, **{**data, **variables})
    return texts[0]


cases = []
for line in TEMPLATES:
    name, template = line.split("|", 1)
    # Line ends that a template has are said by a backslash, those within its strings by two.
    template = template.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\0", "\\")
    case = {"name": name, "template": template}
    try:
        case["text"] = render(template, VARIABLES)
    except Exception as error:
        case["error"] = f"{type(error).__name__}: {error}"
    fails = name.endswith(" fails")
    if fails != ("error" in case):
        print("unexpected:", case)
    cases.append(case)
path = pathlib.Path(__file__).parent.parent / "testdata" / "chat_templates.json"
content = {"library": f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}", "messages": MESSAGES, "tools": TOOLS,
           "variables": VARIABLES, "cases": cases}
path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
print(len(cases), "templates,", path.stat().st_size, "bytes")
