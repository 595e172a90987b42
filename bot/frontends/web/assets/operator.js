// The operator's corner: asks for what changes, shows it, and sends what its forms and buttons mean.
import {show} from "./patch.js";
import {home, language} from "./server.js";

const LOOK_MS = 2000, PLACES = ["state", "queue", "runners", "storage", "limits", "log"];
const words = JSON.parse(document.getElementById("words").textContent);
const part = id => document.getElementById(id);
let timer, isLooking = false, release;

async function ask(path, options) {
  const answer = await fetch(`${home}/console/operator${path}?${new URLSearchParams({lang: language})}`, options);
  if (![200, 400, 403, 409, 413, 422, 429].includes(answer.status)) throw new Error(`${answer.status} for ${path}`);
  return answer;
}

const post = (path, values = {}) => ask(path, {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(values),
});

// --- showing ---------------------------------------------------------------------------------------------

function setOpen(isOpen, isAsked = !isOpen) {
  part("corner").hidden = !isOpen;
  part("enter").hidden = isOpen;
  if (isAsked && document.activeElement === document.body) part("password").focus();
}

function setOffline(isOffline) {
  part("offline").textContent = isOffline ? words["console-offline"] : "";
  part("offline").hidden = !isOffline;
  document.documentElement.classList.toggle("away", isOffline);
}

async function look() {
  if (isLooking) return;
  isLooking = true;
  clearTimeout(timer);
  try {
    const answer = await ask("");
    setOffline(false);
    setOpen(answer.ok);
    if (answer.ok) showAll(await answer.json());
  } catch (error) {
    console.debug(error);
    setOffline(true);
  } finally {
    isLooking = false;
    timer = setTimeout(look, document.hidden ? 5 * LOOK_MS : LOOK_MS);
  }
}

function showAll(overview) {
  if (release && release !== overview.release) return location.reload();
  release = overview.release;
  const log = part("log"), isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  for (const place of PLACES) show(part(place), overview[place]);
  part("resume").disabled = !overview.is_paused;
  part("leave").hidden = !overview.can_leave;
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

// --- what forms and buttons mean -------------------------------------------------------------------------

// Say what came of it: beside the field that it is about, if there is one.
function say({text, is_refusal: isRefusal, field}) {
  for (const flaw of document.querySelectorAll(".flaw")) flaw.textContent = "";
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  const beside = isRefusal && field && part(`${field}-flaw`);
  (beside || part("said")).textContent = text;
  part("said").classList.toggle("refusal", Boolean(isRefusal && !beside));
  if (!beside) return;
  part("said").textContent = "";
  part(field).setAttribute("aria-invalid", "true");
  part(field).focus();
}

async function send(button, path, values) {
  if (button) button.disabled = true;
  try {
    const answer = await post(path, values);
    say(await answer.json());
    return answer.ok;
  } catch (error) {
    console.debug(error);
    setOffline(true);
    return false;
  } finally {
    if (button) button.disabled = false;
    look();
  }
}

part("enter").addEventListener("submit", async event => {
  event.preventDefault();
  const isIn = await send(event.submitter, "/enter", {password: part("password").value});
  if (isIn) part("password").value = "";
});
part("pause").addEventListener("submit", async event => {
  event.preventDefault();
  const values = {reason: part("reason").value, until: part("until").value};
  if (await send(event.submitter, "/pause", values)) part("pause").reset();
});
part("resume").addEventListener("click", event => send(event.currentTarget, "/resume"));
part("backup").addEventListener("click", event => send(event.currentTarget, "/backup"));
part("release").addEventListener("click", event => send(event.currentTarget, "/release"));
part("leave").addEventListener("click", event => send(event.currentTarget, "/leave"));
part("queue").addEventListener("click", event => {
  const button = event.target.closest("[data-do=cancel]");
  if (button) send(button, `/jobs/${button.dataset.id}/cancel`);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
