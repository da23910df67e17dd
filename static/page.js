// What a page can do besides being read. Without scripts all of it is there but the button.

const language = document.documentElement.lang;

const button = document.getElementById('copy-link');
// Browsers have a clipboard for pages over HTTPS and of the machine itself only.
if (button && navigator.clipboard) {
  const status = document.getElementById('copy-status');
  button.addEventListener('click', async () => {
    // Emptied first, so that a screen reader tells the same again.
    status.textContent = '';
    try {
      await navigator.clipboard.writeText(location.origin + location.pathname);
      status.textContent = button.dataset.copied;
    } catch {
      status.textContent = button.dataset.failed;
    }
  });
  button.hidden = false;
}

// Codes of a public standard get the name that the browser knows them by.
for (const code of document.querySelectorAll('[data-code]')) {
  try {
    const names = new Intl.DisplayNames(language, { type: code.dataset.code, fallback: 'none' });
    const name = names.of(code.textContent.trim());
    if (name) code.after(aside(name));
  } catch {
    // Not a code of that kind: it stays as it was sent.
  }
}

// British, for the order of day and month that the page has itself.
const dates = new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, {
  day: 'numeric', month: 'long', year: 'numeric',
  hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'shortOffset',
});
for (const time of document.querySelectorAll('time[datetime]')) {
  const date = new Date(time.dateTime);
  if (date.getTimezoneOffset() === 0) continue;
  time.after(aside(time.textContent));
  time.textContent = dates.format(date);
}

function aside(text) {
  const element = document.createElement('span');
  element.className = 'aside';
  element.textContent = ` (${text})`;
  return element;
}
