// Everything here betters a page that works without it.
"use strict";

document.documentElement.classList.add("with-script");

const said = document.getElementById("said");

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (time.title || Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

async function choose(form) {
  const box = form.querySelector("input[type=checkbox]");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "application/json" },
    });
    if (!answer.ok || answer.redirected) throw new Error(`HTTP ${answer.status}`);
    box.checked = (await answer.json())[box.name];
    said.textContent = `${box.parentElement.textContent.trim()} is ${box.checked ? "on" : "off"} now.`;
    said.className = "unseen";
  } catch {
    box.checked = !box.checked;
    said.textContent = `${box.parentElement.textContent.trim()} could not be changed; reload the page and try again.`;
    said.className = "notice bad";
  }
}

async function renewLogs() {
  const wanted = new URLSearchParams(location.search).get("page");
  const answer = await fetch(location.pathname + (wanted ? `?page=${encodeURIComponent(wanted)}` : ""));
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const logs = document.getElementById("logs");
  logs.replaceChildren(...page.getElementById("logs").children);
  localTimes(logs);
}

function follow(section) {
  const bar = section.querySelector("progress");
  const text = document.getElementById("progress-text");
  const stream = new EventSource(section.dataset.stream);
  stream.onmessage = (event) => {
    const shown = JSON.parse(event.data);
    if (shown.most === null) {
      bar.removeAttribute("value");
    } else {
      bar.max = shown.most || 1;
      bar.value = shown.most ? shown.done : 1;
    }
    text.textContent = shown.text;
    if (!shown.is_over) return;
    stream.close();
    document.getElementById("progress-title").textContent = "Last sync";
    section.classList.add(shown.is_failed ? "bad" : "good");
    section.querySelector(".without-script")?.remove();
    // The files are written a moment after the last result.
    renewLogs();
    setTimeout(renewLogs, 2500);
  };
}

localTimes(document);
for (const form of document.querySelectorAll("form[data-choice]")) {
  form.addEventListener("change", () => choose(form));
}
for (const form of document.querySelectorAll("form[method=post]:not([data-choice])")) {
  form.addEventListener("submit", () => setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }));
}
const progress = document.querySelector("#progress[data-stream]");
if (progress) follow(progress);
