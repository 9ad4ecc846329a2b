// The sanitiser alone: what is left of what came.
import { equal, test, truth } from './check.js';
import { imageKind, safeLink, sanitise } from '../../src/sanitise.js';
import { declarations, sheet } from '../../src/css.js';

function clean(html, image) {
  const box = document.createElement('div');
  const found = sanitise(html, image ? { image } : {});
  box.append(found.nodes);
  return { ...found, html: box.innerHTML };
}

test('what is harmless stays', () => {
  equal(clean('<p dir="rtl">a <b>b</b></p>').html, '<p dir="rtl">a <b>b</b></p>');
  equal(clean('<table><tr><td colspan="2" bgcolor="red">x').html, '<table><tbody><tr><td colspan="2" bgcolor="red">x</td></tr></tbody></table>');
});

test('what acts goes, with what is in it', () => {
  for (const html of ['<script>x</script>', '<style>p{}</style>', '<iframe srcdoc="x"></iframe>', '<object>x</object>', '<svg><text>x</text></svg>', '<math><mtext>x</mtext></math>', '<template>x</template>',
    '<textarea>x</textarea>', '<select><option>x</select>', '<video>x</video>', '<!-- x -->']) truth(!clean(html).html.includes('x'), html);
});

test('forms and unknown elements leave what is in them', () => {
  equal(clean('<form action=x><input name=attributes><i>a</i></form><blink>b</blink>').html, '<div><i>a</i></div>b');
});

test('no handler, no id, no name, no class of trouble', () => {
  equal(clean('<p onclick=x id=a name=b data-x=1 style="">t</p>').html, '<p>t</p>');
});

test('links', () => {
  equal(safeLink(' https://a.example/ '), 'https://a.example/');
  for (const bad of ['javascript:1', 'JAVA\tscript:1', '\u0001javascript:1', 'data:text/html,x', 'vbscript:x', 'blob:https://x/1', 'file:///x', '/relative', '//x.example', '', 'about:blank', 'filesystem:x']) equal(safeLink(bad), null, bad);
  equal(clean('<a href="https://x.example/" target=_top ping=y>t</a>').html,
    '<a href="https://x.example/" rel="noopener noreferrer" target="_blank" referrerpolicy="no-referrer">t</a>');
  equal(clean('<a href="javascript:x">t</a>').html, '<a>t</a>');
});

test('images', () => {
  equal(imageKind('data:image/svg+xml,x'), null);
  equal(imageKind('data:image/svg+xml;base64,eA=='), null);
  equal(imageKind('data:image/png;base64,eA=='), 'data');
  equal(imageKind('//x.example/a'), 'remote');
  equal(imageKind('CID:x'), 'cid');
  equal(imageKind('/a'), null);
  const asked = [];
  const found = clean('<img src="http://x.example/a"><img src="cid:c"><img src=http://x.example/p width=1>', (kind, address) => { asked.push([kind, address]); return null; });
  equal(asked, [['remote', 'http://x.example/a'], ['cid', 'cid:c']]);
  equal(found.remote, 2);
  truth(!found.html.includes('src='), found.html);
});

test('styles: only properties and values that are known', () => {
  equal(declarations('color:red;position:fixed;background:url(x);width:50%'), [['color', 'red'], ['width', '50%']]);
  for (const bad of ['background-image:url(x)', 'list-style:url(x)', 'cursor:url(x),auto', 'content:"x"', 'behavior:url(x)', '-moz-binding:url(x)', 'width:100vh', 'color:var(--x)', '--x:1', 'border-image:url(x)',
    'background:u\\72l(x)', 'mask:url(x)', 'filter:url(#x)', 'background-image:image-set("x" 1x)', 'position:absolute', 'z-index:9', 'animation:x 1s', 'transform:scale(9)', 'clip-path:url(#x)', 'width:calc(100vh - 1px)']) {
    truth(declarations(bad).every(([, value]) => !/url|vh|var|image|x/.test(value)), `${bad}: ${JSON.stringify(declarations(bad))}`);
  }
});

test('sheets', () => {
  equal(sheet('p{color:red;position:fixed}'), 'p{color:red}');
  equal(sheet('@import "x"; @font-face{font-family:x;src:url(x)} p{background:url(x)}'), '');
  equal(sheet('@media (max-width:9px){p{color:red} @import "x";}'), '@media (max-width: 9px){p{color:red}}');
  equal(sheet('a[href^=h]{content:url(x);color:blue}'), 'a[href^="h"]{color:blue}');
  equal(sheet('p{color:red!important}'), 'p{color:red!important}');
  truth(!sheet('</style><script>x</script>p{color:red}').includes('<'), 'no tag');
});

test('whether it sets colours', () => {
  equal(clean('<p style="font-size:9px">x').coloured, false);
  equal(clean('<p style="background:#fff">x').coloured, true);
  equal(clean('<td bgcolor=red>x').coloured, false);
  equal(clean('<table><td bgcolor=red>x').coloured, true);
  equal(clean('<style>p{color:red}</style>x').coloured, true);
});

test('no end of depth or number stops it', () => {
  truth(clean('<div>'.repeat(5000) + 'x').html.includes('x'), 'deep');
  truth(clean('<b>x</b>'.repeat(100_000)).nodes, 'many');
});

test('what it makes is the same when it is parsed again', () => {
  const hard = ['<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;"></table></mtext></math>',
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>"></svg>', '<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">', '<table><a><td><p></a>x'];
  for (const html of hard) {
    const once = clean(html).html;
    truth(!/onerror|<style|<script/i.test(once.replace(/="[^"]*"/g, '')), once);
    equal(clean(once).html, clean(clean(once).html).html);
  }
});
