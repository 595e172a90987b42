// Questions to the server, in the reader's language and below the path where a proxy shows the page.
export const language = navigator.language;
// The operator's corner has no Gradio; it lies beside the page.
const root = window.gradio_config ? window.gradio_config.root || "/" : ".";
export const home = new URL(root, location).pathname.replace(/\/$/, "");

const address = (path, values = {}) => `${home}${path}?${new URLSearchParams({lang: language, ...values})}`;

// 409 is a refusal, which has a sentence for the reader.
export async function ask(path, values, options) {
  const answer = await fetch(address(path, values), options);
  if (!answer.ok && answer.status !== 409) throw new Error(`${answer.status} for ${path}`);
  return answer;
}

export const post = async (path, values) => (await ask(path, values, {method: "POST"})).json();
