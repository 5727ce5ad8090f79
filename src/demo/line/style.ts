/** The one stylesheet of the simulator's pages, inlined so that a page is a single answer. */
export const style = `
:root { color-scheme: light dark; --page: #f3f5f4; --card: #fff; --text: #17211b; --soft: #52605a;
  --line: #cdd5d1; --green: #06c755; --on-green: #04240f; --focus: #0b6bcb; --error: #b3261e; --note: #fff4cc;
  --on-note: #4a3b00; }
@media (prefers-color-scheme: dark) { :root { --page: #101512; --card: #1b221e; --text: #eef3f0;
  --soft: #b0bdb6; --line: #3a4640; --focus: #7cb8ff; --error: #ffb4ab; --note: #3d3410; --on-note: #ffe9a3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.6; overflow-wrap: anywhere;
  font-family: system-ui, "Hiragino Sans", "Noto Sans JP", sans-serif; }
.banner { background: var(--note); color: var(--on-note); padding: .5rem 1rem; text-align: center; font-size: .875rem; }
.banner strong { margin-inline-end: .5rem; }
main { max-width: 27rem; margin: 1.5rem auto; padding: 1.5rem 1.25rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; }
@media (max-width: 29rem) { main { margin: 0; border: 0; border-radius: 0; } body { background: var(--card); } }
h1 { margin: 0 0 .25rem; font-size: 1.375rem; line-height: 1.35; }
h3 { margin: 1.25rem 0 0; font-size: .9375rem; }
.bubble { padding: .5rem .75rem; border: 1px solid var(--line); border-radius: .75rem; white-space: pre-line; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
p { margin: .25rem 0 1rem; }
.soft { color: var(--soft); font-size: .9375rem; }
.error { color: var(--error); font-weight: 600; }
form { margin: 0; }
ul { list-style: none; margin: 0; padding: 0; }
li + li { margin-top: .5rem; }
label { display: block; margin-top: .75rem; font-weight: 600; }
input[type=email], input[type=password], input[type=text] { display: block; width: 100%; min-height: 3rem; margin-top: .25rem;
  padding: .5rem .75rem; font: inherit; color: inherit; background: transparent; border: 1px solid var(--soft);
  border-radius: .5rem; }
.choice { display: flex; gap: .75rem; align-items: flex-start; font-weight: 400; }
input[type=checkbox] { flex: none; width: 1.5rem; height: 1.5rem; margin: 0; accent-color: var(--green); }
.granted { padding: .75rem 0; border-bottom: 1px solid var(--line); margin: 0; }
.mark { color: var(--soft); font-size: .8125rem; }
button, .button { display: block; width: 100%; min-height: 3rem; padding: .6rem 1rem; font: inherit; font-weight: 700;
  text-align: center; text-decoration: none; border-radius: .5rem; border: 1px solid var(--line); cursor: pointer;
  background: transparent; color: inherit; margin-top: .75rem; }
button.main { background: var(--green); border-color: var(--green); color: var(--on-green); }
button:hover, .button:hover { filter: brightness(.94); }
button.person { display: flex; align-items: center; gap: .75rem; margin: 0; text-align: start; }
.face { flex: none; width: 2.5rem; height: 2.5rem; border-radius: 50%; background: var(--green);
  color: var(--on-green); display: grid; place-items: center; font-weight: 700; }
.person .soft { display: block; font-weight: 400; font-size: .8125rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
a { color: inherit; }
`
