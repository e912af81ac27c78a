"use strict";
// What pages do beyond showing: a job that runs is followed, and a bar of a chart marks its line in the table.

for (const live of document.querySelectorAll("[data-live]")) follow(live);
for (const figure of document.querySelectorAll("[data-linked]")) mark(figure);

/** Follow a job's events; once it is over, show the page as it then is. */
function follow(live) {
  const source = new EventSource(`/v1/jobs/${encodeURIComponent(live.dataset.live)}/events`);
  const text = live.querySelector(".progress");
  const bar = live.querySelector("progress");
  const show = (message) => {
    const event = JSON.parse(message.data);
    if ("done" in event && "total" in event) {
      const eta = event.eta_s == null ? "" : `, about ${Math.round(event.eta_s)} s to go`;
      const what = event.label == null ? "" : `: ${event.label}`;
      text.textContent = `${event.done} of ${event.total}${eta}${what}`;
      if (bar) {
        bar.max = event.total;
        bar.value = event.done;
      }
      renew();
    }
  };
  for (const name of ["started", "row", "failed", "tried", "epoch"]) source.addEventListener(name, show);
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
}

let renewing = false;
let again = false; // something happened since

/** Show anew what the page says of a running job: now, and at most every two seconds. */
async function renew() {
  again = renewing;
  if (renewing) return;
  renewing = true;
  try {
    const answer = await fetch(location.href);
    if (answer.ok && !answer.redirected) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-fresh]")) {
        const found = fresh.querySelector(`[data-fresh="${old.dataset.fresh}"]`);
        if (found) old.replaceWith(found);
      }
    }
  } catch {
    // The server is away; the stream of events connects again by itself, and the next event tries again.
  }
  setTimeout(() => {
    renewing = false;
    if (again) renew();
  }, 2000);
}

/** Mark the line of the table that the pointer's, or the keyboard's, bar leads to. */
function mark(figure) {
  for (const name of ["pointerover", "focusin"]) {
    figure.addEventListener(name, (event) => {
      for (const line of document.querySelectorAll("tr.marked")) line.classList.remove("marked");
      const href = event.target.closest("a")?.getAttribute("href");
      if (href?.startsWith("#")) document.getElementById(href.slice(1))?.classList.add("marked");
    });
  }
}
