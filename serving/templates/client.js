"use strict";

const find = (id) => document.getElementById(id);
const say = (text) => { find("state").textContent = text; };

function element(tag, text = "", properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text) made.textContent = text;
  return made;
}

let token = sessionStorage.getItem("token");
let entered = null; // a promise of the token, while it is asked for

function askForToken() {
  const form = find("token");
  entered ??= new Promise((resolve) => {
    form.hidden = false;
    find("secret").focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = find("secret").value;
      sessionStorage.setItem("token", token);
      find("secret").value = "";
      form.hidden = true;
      entered = null;
      resolve();
    }, { once: true });
  });
  return entered;
}

/** Ask a route; resolves to its answer, and rejects with the sentence of its problem. */
async function request(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", "Bearer " + String.fromCharCode(...new TextEncoder().encode(token)));
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    say(token ? "The endpoint rejected this token." : "The endpoint requires a token.");
    await askForToken();
    return request(path, options);
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail || `the server answered ${response.status}`);
  }
  return response;
}

const getJson = async (path) => (await request(path)).json();

const postJson = async (path, content) =>
  (await request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) })).json();

/** Run a step of the page; what goes wrong in it is said on the page, after `failed` has undone what was begun. */
async function attempt(step, failed = () => {}) {
  try {
    await step();
  } catch (error) {
    failed();
    say(error.message);
  }
}
