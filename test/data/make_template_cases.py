"""Writes template_cases.json: what Python's jinja2, set up as Transformers does, makes of the templates below.

The unit test of the interpreter reads that file; this program is run when a case is added:  python3 make_template_cases.py
"""

import datetime
import json
import os

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CONTEXT = {
    "messages": [
        {"role": "system", "content": "You are \u00fc helpful \U0001f600"},
        {"role": "user", "content": "Hi <b> & 'q' \"d\""},
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1, "b": [1.5, True, None, "x"]}}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "get", "description": "d", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "The \n city"},
                                         "n": {"type": ["integer", "null"], "enum": [1, 2]}}, "required": ["city"]}}}],
    "n": None, "t": True, "f": False, "i": 7, "neg": -3, "x": 2.5, "big": 123456789012345678901234567890,
    "s": "Hello World", "u": "\u00e4\u00f6\u00fc \u00df \u0149 \ufb01 \u0130 \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "e": "",
    "l": [3, 1, 2], "d": {"b": 1, "a": 2, "C": 3}, "nested": {"a": {"b": [{"c": "deep"}]}},
    "words": ["banana", "Apple", "cherry", "apple"],
    "floats": [0.1, 1e16, 1e-5, 100.0, 1.0, -0.0, 3.14159265358979, 1e22, 123456789.123],
    "users": [{"name": "Bob", "age": 30, "g": "x"}, {"name": "alice", "age": 25, "g": "Y"},
              {"name": "Carl", "age": 30, "g": "X"}],
    "add_generation_prompt": True,
}

LINES = r"""
{{ s|upper }} {{ u|upper }} {{ u|lower }} {{ u|title }} {{ u|capitalize }} {{ u.swapcase() }}
{{ u[::-1] }} {{ u[1:4] }} {{ u[-3:] }} {{ u[10:2:-2] }} {{ u[100] }} {{ u[2] }}
{{ l[::-1] }}{{ l[1:] }}{{ l[:-1] }}{{ l[-1] }}{{ l[5] }}
{{ floats }} {{ floats|tojson }} {{ floats|join(' ') }} {{ floats|sum }}
{{ d|tojson }} {{ d|tojson(indent=2) }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(',',':')) }} {{ tools|tojson(indent=4) }}
{{ u|tojson }} {{ u|tojson(ensure_ascii=true) }} {{ "\x7f\u2028<>&'" | tojson }}
{{ big }} {{ big|tojson }} {{ big is number }} {{ big is integer }}
{{ messages }}
{{ {'a': (1,), 'b': (), 'c': [none, true, 1.0, 'x\'y', "a\"b'c"]} }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role }}{{ loop.nextitem.role if loop.nextitem is defined }}{{ loop.cycle('a','b') }}{{ loop.changed(m.role) }}{{ loop.depth }};{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for k, v in d|dictsort %}{{ k }}={{ v }} {% endfor %}{{ d|dictsort(true) }}{{ d|dictsort(by='value', reverse=true) }}
{{ words|sort }}{{ words|sort(case_sensitive=true) }}{{ words|sort(reverse=true) }}{{ words|unique|list }}{{ words|unique(true)|list }}
{{ users|sort(attribute='age,name')|map(attribute='name')|list }}{{ users|groupby('g') }}{{ users|groupby('age') }}{% for g, items in users|groupby('g') %}{{ g }}:{{ items|length }} {% endfor %}{% for x in users|groupby('age') %}{{ x.grouper }}{{ x.list|map(attribute='name')|join('/') }}{% endfor %}
{{ users|selectattr('age','gt',26)|list }}{{ users|rejectattr('age','eq',30)|map(attribute='name')|join }}{{ l|select('odd')|list }}{{ l|reject('divisibleby', 3)|list }}{{ [0,1,'',none]|select|list }}
{{ words|map('upper')|join(',') }}{{ words|map('replace','a','o')|list }}{{ users|map(attribute='zz', default='?')|list }}
{{ l|min }}{{ l|max }}{{ users|max(attribute='age') }}{{ words|min }}{{ []|max }}{{ l|first }}{{ l|last }}{{ s|first }}{{ s|last }}{{ s|length }}{{ u|length }}{{ d|length }}
{{ s|replace('l','L') }}{{ s|replace('l','L',1) }}{{ s|replace('','-') }}{{ s.replace('l','L',2) }}{{ 5|replace(5,6) }}
{{ "  x y  "|trim }}|{{ "xxabxx".strip('x') }}|{{ " a ".lstrip() }}|{{ " a ".rstrip() }}|{{ "abc".lstrip('ab') }}|{{ "\n\t a \n"|trim }}|
{{ "a,b,,c".split(',') }}{{ " a  b c ".split() }}{{ "a b c".split(' ',1) }}{{ "a b c".rsplit(' ',1) }}{{ "a b c d".rsplit(None,2) }}{{ "a b c d ".split(None,1) }}{{ "abc".split('') }}
{{ "a\nb\r\nc\n".splitlines() }}{{ "a\nb\n".splitlines(true) }}{{ "a=b=c".partition('=') }}{{ "a=b=c".rpartition('=') }}{{ "abc".partition('x') }}
{{ "%s is %d years, %.2f %5s|%-5s|%05d|%x|%e|%g|%%|%r" % ("Bob", 30, 1.5, "ab", "cd", 42, 255, 12345.678, 0.0001, "q") }}
{{ "%(a)s %(b)s" % {'a': 1, 'b': 2} }}{{ "%s" % 5 }}{{ "%s %s"|format('a','b') }}{{ "%(x)s"|format(x=3) }}{{ "%c%c" % (65,'b') }}{{ "%+d % d %i" % (5,5,5) }}{{ "%.3d" % 5 }}{{ "%#x %#o" % (255,8) }}
{{ "{} {}".format(1,'a') }}{{ "{0} {1} {0}".format('x','y') }}{{ "{name}".format(name='n') }}{{ "{:>10}|{:<10}|{:^10}|{:*^10}".format('a','b','c','d') }}{{ "{:05d} {:,} {:.2f} {:x} {:b} {:e} {:%} {:+} {:g}".format(42,1234567,3.14159,255,5,12345.678,0.25,3,0.5) }}{{ "{!r} {!s}".format('a','b') }}{{ "{0[a]} {1.x}".format({'a':5}, {'x':1}) }}{{ "{{}}".format() }}{{ "{:{}}|".format('a', 5) }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1 + 2.0 }} {{ 'a' * 3 }} {{ [1] * 2 }} {{ 3 * 'ab' }} {{ 1 + true }} {{ 10 ** 15 * 1.0 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ none == none }} {{ [] == () }} {{ {} == {} }} {{ 1 in [1,2] }} {{ 'a' in 'abc' }} {{ 'a' in d }} {{ 1 not in l }} {{ none in [none] }} {{ 'x' in undefinedvar }}
{{ undefinedvar }}|{{ undefinedvar is defined }}|{{ undefinedvar|default('d') }}|{{ e|default('d') }}|{{ e|default('d', true) }}|{{ n|default('d', boolean=true) }}|{{ undefinedvar|length }}|{{ undefinedvar|list }}|{{ undefinedvar ~ 'x' }}|{{ d.zz is defined }}|{{ undefinedvar|string }}|{{ undefinedvar|upper }}
{{ undefinedvar.x }}
{{ d.zz.y }}
{{ undefinedvar + 1 }}
{{ undefinedvar() }}
{{ d['zz'] }}|{{ d[0] }}|{{ n.x }}|{{ i.x }}|
{{ n.x.y }}
{{ l[10].y }}
{{ undefinedvar|tojson }}
{{ l|map('upper') is iterable }}{{ l|map('string') is sequence }}{{ d.items() is sequence }}{{ d.items() is iterable }}{{ d.items() }}{{ d.keys() }}{{ d.values() }}{{ d.items()|list }}{{ d.keys()|list|length }}{{ d.items()|length }}
{% set ns = namespace(a=1, b=[]) %}{% for x in l %}{% set ns.a = ns.a + x %}{% set ns.c = x %}{% endfor %}{{ ns.a }}{{ ns.c }}{{ ns.zz }}{{ ns }}
{% set x = 1 %}{% for q in l %}{% set x = x + q %}{{ x }}{% endfor %}{{ x }}
{% if t %}{% set y = 1 %}{% endif %}{{ y }}{% with %}{% set y = 2 %}{{ y }}{% endwith %}{{ y }}{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro m(a, b=2, c='z') %}[{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}]{% endmacro %}{{ m(1) }}{{ m(1,3) }}{{ m(1,c=5) }}{{ m(1,2,3,4,5) }}{{ m(1,z=9) }}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1,2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1,b=2) }}
{% macro m(a) %}{{ caller(a) }}{% endmacro %}{% call(x) m(5) %}<{{ x }}>{% endcall %}{% macro n2() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call n2() %}z{% endcall %}{{ m.name }}{{ m }}
{% macro m() %}x{% endmacro %}{% call m() %}z{% endcall %}
{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * fact(k-1)|int }}{% endif %}{% endmacro %}{{ fact(10) }}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a','b')|upper %}abc{% endfilter %}
{% set blk %}a{{ i }}b{% endset %}{{ blk }}{{ blk|length }}{% set blk | upper %}abc{% endset %}{{ blk }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = [3,4] %}{{ c }}{{ d2 }}{% set tup = 1, 2 %}{{ tup }}{% set a, b = 1, 2, 3 %}
{% for a, b in [(1,2),[3,4]] %}{{ a }}{{ b }}{% endfor %}{% for (a, b), c in [((1,2),3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.last }}{% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}
{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in [1,[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}
{{ range(5)|list }}{{ range(2,8,3)|list }}{{ range(5,0,-2)|list }}{{ range(3) }}{{ range(3)[1] }}{{ range(10)[2:5]|list }}{{ range(0)|length }}{{ range(10)|last }}
{{ range(1000000) }}
{{ 'a' if t else 'b' }}{{ 'a' if f }}{{ 'a' if f else 'b' if t else 'c' }}
{{ ('a' if f).x }}
{{ s is string }}{{ i is number }}{{ x is float }}{{ t is boolean }}{{ n is none }}{{ d is mapping }}{{ l is sequence }}{{ s is sequence }}{{ i is integer }}{{ t is integer }}{{ t is number }}{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 6 is divisibleby(4) }}{{ t is true }}{{ 1 is true }}{{ f is false }}{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ 1 is in [1] }}{{ 1 is not in([2]) }}{{ s is sameas s }}{{ 2 is eq 2 }}{{ 2 is lessthan 3 }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ range is callable }}{{ x is not none }}
{{ not t }}{{ not (t and f) }}{{ t and 'x' }}{{ f or 'y' }}{{ n or e or 'z' }}{{ not n is none }}
{{ "a" "b" 'c' }}{{ "esc \n \t \\ \' \" \x41 \u00e9 \101 \q" }}
{{- "  trim  " -}}   x   {{- 'y' }}
  {% if t %}  
  line
  {% endif %}
  after
  {%- if t -%}  
  x
  {%- endif -%}
  y
  {%+ if t %}keep{% endif +%}
  {# comment #}
  z {# c -#}   w
{% raw %}{{ x }} {% if %}{% endraw %} {%- raw -%}  {{ y }}  {%- endraw -%}  end
{{ strftime_now('%Y-%m-%d %H:%M:%S %A %a %B %b %d %e %j %y %I %p %U %W %V %G %u %w %% %c %x %X %D %F %T %R %-d %-m %C %h %Z %z') }}
{{ raise_exception('boo: ' ~ s) }}
{{ d.append(1) }}
{{ l.append(1) }}
{{ l.append }}
{{ d.pop('a') }}{{ d.update({}) }}
{{ s.__class__ }}
{{ s._private }}
{{ ''.__class__.__mro__ }}
{{ d.__class__ is defined }}
{{ d.get('a') }}{{ d.get('zz') }}{{ d.get('zz', 5) }}{{ d.copy() }}{{ l.index(1) }}{{ l.count(1) }}{{ l.index(99) }}
{{ s.startswith('He') }}{{ s.endswith(('ld','x')) }}{{ s.find('o') }}{{ s.find('o',5) }}{{ s.rfind('o') }}{{ s.index('zz') }}
{{ s.count('l') }}{{ s.isalpha() }}{{ 'abc'.isalpha() }}{{ '12'.isdigit() }}{{ 'a1'.isalnum() }}{{ ' '.isspace() }}{{ 'Ab'.istitle() }}{{ 'AB'.isupper() }}{{ 'x'.isidentifier() }}{{ '5'.zfill(3) }}{{ '-5'.zfill(4) }}{{ 'a'.center(6,'*') }}{{ 'ab'.center(5) }}|{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3,'-') }}{{ 'a\tb'.expandtabs(4) }}{{ ','.join(['a','b']) }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ 'HeLLo'.casefold() }}{{ 'hello world'.title() }}{{ 'hello'.capitalize() }}
{{ ','.join([1]) }}
{{ "3.7"|int }}{{ "abc"|int }}{{ "abc"|int(9) }}{{ "0x1f"|int(0,16) }}{{ 3.9|int }}{{ "12"|int + 1 }}{{ "1.5"|float }}{{ "x"|float(2) }}{{ none|int }}{{ true|int }}{{ " 42 "|int }}{{ "1_000"|int }}{{ "1e3"|float }}{{ "1e3"|int }}{{ "inf"|float }}{{ 10|float }}
{{ 42.55|round }}{{ 42.55|round(1) }}{{ 42.55|round(1,'floor') }}{{ 42.55|round(1,'ceil') }}{{ 2.5|round }}{{ 3.5|round }}{{ 42|round }}{{ 1234|round(-2) }}{{ 0.125|round(2) }}{{ 2.675|round(2) }}{{ -5|abs }}{{ -5.5|abs }}
{{ "hello world foo bar baz"|truncate(15) }}{{ "hello world foo bar baz"|truncate(15, true) }}{{ "hello"|truncate(5) }}{{ "hello world foo"|truncate(10, leeway=0) }}{{ "hello world foo"|truncate(10, end='!') }}
{{ "a\nb\n\nc"|indent }}|{{ "a\nb"|indent(2, true) }}|{{ "a\n\nb"|indent(2, blank=true) }}|{{ "a\nb"|indent('>>') }}|
{{ "hello wide world"|wordcount }}{{ "a-b (c) foo_bar"|title }}{{ "abc"|center(9) }}|{{ [1,2,3,4,5]|batch(2)|list }}{{ [1,2,3,4,5]|batch(2,0)|list }}{{ [1,2,3,4,5]|slice(2)|list }}{{ [1,2,3,4,5]|slice(3,'x')|list }}
{{ 1000|filesizeformat }}{{ 1|filesizeformat }}{{ 500|filesizeformat }}{{ 1234567|filesizeformat }}{{ 1234567|filesizeformat(true) }}{{ "<a href='x'>&\"</a>"|e }}{{ "<b>x</b>  y &lt;"|striptags }}{{ "a b/c?d=ä"|urlencode }}{{ {'a':1,'b':'x y'}|urlencode }}{{ {'class':'x','id':none}|xmlattr }}
{{ users|attr('x') }}{{ s|attr('upper')() }}{{ d|attr('a') }}
{{ 'x'|safe + '<b>' }}{{ '<b>' + 'x'|safe }}{{ ('x'|safe) ~ '<b>' }}{{ ('a'|safe).join(['<','>']) }}{{ '<%s>'|safe|format('<') }}
{{ cycler('a','b').next() }}{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ dict(a=1, b=2) }}{{ dict({'x':1}, y=2) }}
{% generation %}gen {% set zz = 5 %}{{ zz }}{% endgeneration %}{{ zz }}
{{ 1,2 }}{{ (1) }}{{ (1,) }}{{ () }}{{ [1,2,] }}{{ {'a':1,} }}
{{ 1 if 1 else 2 | string }}{{ -1|abs }}{{ 2 + 3 ~ 4 * 2 }}{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] }}{{ 5 - 2 - 1 }}{{ 'a' in ['a'] and 'b' not in ['a'] }}
{{ foo.bar('x')|default('q') }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 'a' < 1 }}
{{ [3,'a']|sort }}
{{ none < 1 }}
{{ d < d }}
{{ -'a' }}
{{ 'abc'['x'] }}{{ [1]['a'] }}
{{ 5|length }}
{% for x in 5 %}{% endfor %}
{{ none|length }}
{% for x in none %}{% endfor %}
{{ s() }}
{{ none|join }}
{% set ns = {} %}{% set ns.x = 1 %}
{% if f %}{{ l|nofilter }}{% endif %}ok
{% if t %}
{% endfor %}
{{ (1 }}
{% set x %}
{{ [1,2 }}
{{ s | upper | lower | title }}
{{ "{" }}{{ "}}" }}{{ '{%' }}{ { % }
{%- set   a   =   1   -%}   {{a}}
{{ d | tojson | length }}{{ d['a'] if 'a' in d else 'no' }}{{ (d.a + 1) * 2 }}
{{ messages[0]['role'] }}{{ messages[-1].tool_calls[0].function.arguments|tojson }}{{ messages|map(attribute='role')|join(',') }}{{ messages[1:]|length }}{{ messages|selectattr('role','equalto','user')|list|length }}{{ (messages|last).role }}{{ messages|first|tojson }}
{{ messages[0].content.split(' ')[0] + '!' }}{{ messages[0].content | trim | upper }}{{ messages[2].content is none }}{{ messages[0].missing is undefined }}
{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% elif m.role == 'assistant' and m.tool_calls %}{% for tc in m.tool_calls %}{{ tc.function.name }}({{ tc.function.arguments|tojson }}){% endfor %}{% endif %}{% endfor %}
{%- macro render(p, lvl=0) -%}{%- for k, v in p.items() -%}{{ '  ' * lvl }}{{ k }}:{% if v is mapping %}{{ '\n' ~ render(v, lvl+1) }}{% elif v is string %}{{ v|tojson }}{% else %}{{ v }}{% endif %}{{ '\n' }}{%- endfor -%}{%- endmacro -%}{{ render(tools[0].function) }}
{% block foo %}in {{ s }}{% endblock %}{% block bar %}{% set q = 1 %}{% endblock %}{{ q }}
{% autoescape true %}{{ '<b>' }}{{ '<b>'|safe }}{% endautoescape %}{{ '<b>' }}
{{ loop }}{{ loop.index }}
{% print 1, 2 %}
{{ 0x1F }}{{ 0b11 }}{{ 0o17 }}{{ 1_000 }}{{ 1e3 }}{{ 1.5e-3 }}{{ 12345678901234567890 }}
{{ "%s" % none }}{{ "%s" % (none,) }}{{ "%d" % 3.7 }}{{ "%s %s" % (1,) }}
{{ "%s" % (1,2) }}
{{ "%d" % 'a' }}
{{ "{x}".format() }}
{{ "{:d}".format('a') }}
{{ true + true }}{{ true|string }}{{ true == 1 }}{{ {true: 'a'}[1] }}{{ {1:'a', 1.0:'b', true:'c'} }}{{ [1,true]|unique|list }}
{{ '\u00df'.upper() }}{{ 'ΑΣ'.lower() }}{{ 'ΑΣΑ Σ'.lower() }}{{ 'ǆ'.title() }}{{ 'ŉ'.upper() }}{{ 'ﬃ'.capitalize() }}
{{ [1,[2,{'a':(3,)}]]|tojson }}{{ {1:2, none:3, true:4, 1.5:5}|tojson }}
{{ {(1,2):3}|tojson }}
{{ (l|map('string'))|tojson }}
{{ namespace(a=1)|tojson }}
{{ [undefinedvar]|tojson }}
{{ x.is_integer() }}{{ i.bit_length() }}{{ (5).bit_length() }}
{{ 'a,b'|list }}{{ d|list }}{{ (1,2)|list }}{{ range(3)|list }}{{ 'äö'|list }}
{{ [{'a':1},{'a':2}]|map(attribute='a')|sum }}{{ ['a','b']|map('length')|list }}{{ [[1,2],[3,4]]|map('join','-')|list }}{{ [[3,1],[2]]|map('sort')|list }}{{ ['1','2']|map('int')|list }}{{ words|map('first')|join }}
{{ words | join(', ') | upper }}{{ words|join('-')|length }}{{ users|join(', ', attribute='name') }}
{%- for x in l -%} {{ x }} {%- endfor -%}
{% for x in l %}
{{ x }}
{% endfor %}
{% for x in l -%}
   {{ x }}
{%- endfor %}
{% if false %}a{% elif none %}b{% else %}c{% endif %}
{{ 'yes' if 'x' is in 'xyz' else 'no' }}{{ 'a' is not string }}{{ 5 is not none and true }}{{ s is string and s|length > 3 }}
{% set x = none %}{% if x %}1{% elif x is none %}2{% endif %}{% set x = x or 'def' %}{{ x }}
{{ [1,2,3][1:]|first }}{{ "abc"[0]|upper }}{{ d.keys()|first }}{{ d.items()|first }}{{ d.values()|sum }}{{ d.values()|max }}
{% for key in d %}{{ key }}{% endfor %}{% for c in 'äb' %}{{ c }},{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{{ i }}
{% set a = [] %}{% set a = a + [1] %}{% for x in l %}{% set a = a + [x] %}{% endfor %}{{ a }}
{% set outer = namespace(list=[]) %}{% for x in l %}{% set outer.list = outer.list + [x*2] %}{% endfor %}{{ outer.list }}{{ outer.list|length }}
{% for x in l if not ns2 %}{{ x }}{% endfor %}{% set st = namespace(stop=false) %}{% for x in l if not st.stop %}{{ x }}{% set st.stop = true %}{% endfor %}
{{ messages | tojson(indent=2) | indent(4) }}
{{ '' | default('x') }}{{ none | default('x') }}{{ none | default('x', true) }}{{ 0 | d(5, true) }}
{{ "a" | replace("a", none) }}{{ none | string }}{{ none | upper }}{{ 5 | upper }}{{ 5 | trim }}{{ none|trim }}
{{ "x".join(["a", "b"]|map("upper")) }}{{ "-".join("abc") }}{{ ", ".join(d) }}
{{ 'abc' | batch(2) | map('join') | list }}
{{ 'Hello %s' | format(name) }}{{ 3.0 }}{{ 3.10 }}{{ 1e100 }}{{ 1.0e-7 }}{{ 0.1 + 0.2 }}{{ 100000000000000000.0 }}{{ 1/3 }}{{ 10/5 }}
{{ '%.1f' % 0.25 }}{{ '%.0f' % 0.5 }}{{ '%5.1f|' % 3.14159 }}{{ '%g' % 1e10 }}{{ '%G' % 1e-10 }}{{ '%s' % 1e20 }}{{ '{:.3}'.format(3.14159) }}{{ '{:10.2f}|'.format(3.14159) }}{{ '{:,.2f}'.format(1234567.891) }}{{ '{:.3}'.format('abcdef') }}{{ '{:08.2f}'.format(-3.14159) }}{{ '{:e}'.format(0) }}{{ '{}'.format(1.0) }}{{ '{:.0f}'.format(2.5) }}{{ '{:_}'.format(1000000) }}{{ '{:#x}'.format(255) }}{{ '{:>5}'.format(true) }}{{ '{:5}'.format(3) }}|{{ '{:<5}'.format(3) }}|{{ '{:5}'.format(2.5) }}|{{ '{:=+5}'.format(3) }}{{ '{:.2}'.format(123456.0) }}{{ '{:.5}'.format(100.0) }}
""".strip("\n").split("\n")

SPACES = ["  {% if t %}  \n  line\n  {% endif %}\n  after\n  {%- if t -%}  \n  x\n  {%- endif -%}\n  y\n  {%+ if t %}keep{% endif +%}\n  {# comment #}\n  z {# c -#}   w\n",
"a\r\nb\rc\n\n","{{ s }}\n","{{ s }}\n\n","\n{{ s }}","{% raw %}\n x {% endraw %}\n y"," {% raw %} a {% endraw %} \nz","{# a #}\n{# b #}\nx","  {# a +#}\nx","{% set a=1 +%}\nx","{% set a=1 %}\n\nx","{{ 'a' }}\n{%- if t %}\n\tx{% endif %}\n","\u00a0{%- if t %}x{% endif %}","x\u2003{{- s }}","{{ s -}}\n\n x","{{+ s }}","{{ {'a':{'b':1}} }}","{{ '}}' }}","{%if t%}a{%endif%}","{%- for x in l %}\n  {{ x }}\n  {%- endfor %}\n","{% for x in l %} {% if x > 1 %}\n a \n{% endif %} {% endfor %}\n", "  {{ s }}  \n  {% if t %}\n    {{ i }}\n  {% endif %}\n","{% if t %}\n\n\nx{% endif %}\n\n","x {# y #} z\n{#- a -#}\n b","{%\n if t\n%}x{% endif %}","{{\n s\n}}\n","a{% if t %}\nb\n{%+ endif %}\nc","{% raw -%}  a  {%- endraw %}","{%- raw %}\n{{ x }}\n{%- endraw +%}\nq"]


class Generation(Extension):
    """{% generation %} marks the assistant's part for training; rendering shows its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2026, 11, 21, 9, 30, 0).strftime
    return env


def main():
    cases = []
    for template in LINES + SPACES:
        case = {"template": template}
        try:
            case["text"] = environment().from_string(template).render(**CONTEXT)
        except Exception as error:  # a refusal is a result like any other
            case["error"] = str(error)
        cases.append(case)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "template_cases.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"context": CONTEXT, "cases": cases}, file, ensure_ascii=True, indent=0)
        file.write("\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "refusals")


if __name__ == "__main__":
    main()
