// The header: the model, the queue, the language, the help.
import {part} from "./frame.js";
import {show} from "./patch.js";
import {home, language} from "./server.js";
import {words} from "./words.js";

const LANGUAGES = {"en": "English", "zh-CN": "简体中文", "zh-TW": "繁體中文"};
const YEAR_S = 365 * 24 * 3600;

export function tellHeader(state) {
  part("model").textContent = state.model;
  show(part("queue"), state.queue);
  part("language").ariaLabel = words.language;
  part("language").value = state.language;
  part("helps").textContent = words.help;
  part("corner").hidden = !state.has_corner;
  part("corner").href = `${home}/operator`;
  part("corner").title = part("corner").ariaLabel = words.operator;
}

export function listenToHeader() {
  const choice = part("language");
  choice.replaceChildren(...Object.entries(LANGUAGES).map(([tag, name]) => new Option(name, tag, false, tag === language)));
  choice.addEventListener("change", () => {
    // The server writes the page in this language from now on.
    document.cookie = `imagine_bot_language=${choice.value}; Path=${home || "/"}; Max-Age=${YEAR_S}; SameSite=Lax`;
    location.reload();
  });
}
