// Who are you: by the one-time link that the server prints, or by a token.

import { inWords, signIn } from "./api.js";
import { html, useState } from "./ui.js";
import { t } from "./words.js";

export function SignIn({ problem: first, onSignedIn }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState(first);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      onSignedIn(await signIn({ token }));
    } catch (fault) {
      setProblem(inWords(fault));
      setBusy(false);
    }
  };
  return html`
    <main class="sign-in">
      <form class="card" onSubmit=${submit}>
        <h1>${t("signin.title")}</h1>
        <p>${t("signin.link")}</p>
        <p><code>dmc server run --sign-in-link</code></p>
        <p class="quiet">${t("signin.token")}</p>
        <input class="unseen" name="username" autocomplete="username" value="dmc" tabindex="-1" aria-hidden="true" readonly />
        <label for="token">${t("signin.label")}</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required value=${token} onInput=${(event) => setToken(event.target.value)} />
        <p class="bad" role="alert">${problem}</p>
        <button class="button main" disabled=${busy}>${t("signin.button")}</button>
      </form>
    </main>`;
}
