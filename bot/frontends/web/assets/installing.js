// Lets a browser install the page: our manifest in place of Gradio's, and an icon for iOS.
import {home} from "./server.js";

export function offerInstallation() {
  const link = document.querySelector("link[rel=manifest]") ?? Object.assign(document.createElement("link"), {rel: "manifest"});
  link.crossOrigin = "use-credentials";  // a page with a password shows its manifest to nobody else
  link.href = `${home}/manifest.json`;
  const address = new URL("./icon-192.png", import.meta.url);
  const icon = Object.assign(document.createElement("link"), {rel: "apple-touch-icon", href: address});
  document.head.append(link, icon);
  const colour = document.querySelector("meta[name=theme-color]") ?? Object.assign(document.createElement("meta"), {name: "theme-color"});
  document.head.append(colour);
  const tell = () => { colour.content = getComputedStyle(document.body).backgroundColor; };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(tell, 100));
  tell();
}
