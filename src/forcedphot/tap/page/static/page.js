// All works without this script; it keeps the page in place, sends the token, and stops queries.
"use strict";

(() => {
  const root = document.body.dataset.root;
  const TOKEN = "forcedphot-token";
  const status = document.getElementById("status");
  const queryForm = document.getElementById("query-form");
  const queryBox = document.getElementById("query");
  let running = null;

  document.documentElement.classList.add("scripted");

  const token = () => sessionStorage.getItem(TOKEN) || "";
  const say = (text) => { status.textContent = text; };

  function ask(url, options = {}) {
    const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
    return fetch(url, { ...options, headers });
  }

  async function askPage(url, options) {
    const response = await ask(url, options);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return { response, page };
  }

  function swap(id, page) {
    const [old, now] = [document.getElementById(id), page.getElementById(id)];
    if (!old || !now) return false;
    old.replaceWith(document.adoptNode(now));
    if (id === "browser") offerNames();
    return true;
  }

  function offerNames() {
    if (!queryBox) return;
    for (const code of document.querySelectorAll("#browser code[data-name]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "insert";
      button.title = "Put into the query";
      code.replaceWith(button);
      button.append(code);
      button.addEventListener("click", () => insert(code.dataset.name));
    }
  }

  function insert(name) {
    queryBox.setRangeText(name, queryBox.selectionStart, queryBox.selectionEnd, "end");
    say(`${name} is in the query.`);
  }

  async function show(link, ids, focus) {
    try {
      const { page } = await askPage(link);
      const found = ids.filter((id) => swap(id, page));
      if (!found.length) { location.assign(link); return; }
      if (!ids.includes("browser")) history.replaceState(null, "", link);
      const target = document.getElementById(focus || ids[0]);
      if (target) { target.tabIndex = -1; target.focus({ preventScroll: ids[0] === "browser" }); }
      const told = target && target.closest("section, div, figure").querySelector(".count, figcaption, .pages span");
      say(told ? told.textContent.replace(/\s+/g, " ").trim() : "");
    } catch (error) {
      say(`The service does not answer: ${error.message}`);
    }
  }

  async function runQuery() {
    if (running) running.abort();
    const mine = running = new AbortController();
    const stop = document.getElementById("stop");
    stop.hidden = false;
    document.getElementById("result").setAttribute("aria-busy", "true");
    say("The query runs.");
    try {
      const body = new URLSearchParams({ query: queryBox.value });
      const { response, page } = await askPage(queryForm.action, { method: "POST", body, signal: mine.signal });
      swap("result", page);
      if (response.redirected) history.pushState(null, "", response.url);
      const mistake = document.getElementById("mistake");
      if (mistake) {
        say("");
        queryBox.setAttribute("aria-invalid", "true");
        queryBox.setAttribute("aria-describedby", "mistake");
        queryBox.focus();
        if (Number(mistake.dataset.start) >= 0) queryBox.setSelectionRange(mistake.dataset.start, mistake.dataset.end);
      } else {
        queryBox.removeAttribute("aria-invalid");
        document.querySelector("details.examples")?.removeAttribute("open");
        const summary = document.getElementById("summary");
        say(summary ? summary.textContent.replace(/\s+/g, " ").trim() : "");
      }
      const result = document.getElementById("result");
      if (result.getBoundingClientRect().top > innerHeight * 0.7) result.scrollIntoView();
    } catch (error) {
      say(error.name === "AbortError" ? "The query was stopped." : `The service does not answer: ${error.message}`);
    } finally {
      if (running === mine) {
        running = null;
        stop.hidden = true;
        document.getElementById("result").removeAttribute("aria-busy");
      }
    }
  }

  async function startJob(fields) {
    const response = await ask(`${root}/tap/async`, { method: "POST", body: fields });
    if (response.ok) { location.assign(`${root}/jobs`); return; }
    const answer = new DOMParser().parseFromString(await response.text(), "text/xml");
    const info = answer.querySelector("INFO[name=QUERY_STATUS]");
    say(`The job was refused: ${info ? info.textContent.trim() : response.statusText}`);
  }

  async function download(url, options) {
    say("The result is being fetched.");
    const response = await ask(url, options);
    if (!response.ok) { say(`The result cannot be had: ${response.status} ${response.statusText}`); return; }
    const named = /filename="?([\w.-]+)/.exec(response.headers.get("content-disposition") || "");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = named ? named[1] : "result";
    link.click();
    URL.revokeObjectURL(link.href);
    say("The result is there.");
  }

  async function look() {
    const { page } = await askPage(location.href);
    for (const id of ["browser", "examples", "job-list"]) swap(id, page);
    watchJobs();
  }

  function watchJobs() {
    const list = document.getElementById("job-list");
    if (list && "active" in list.dataset) setTimeout(look, 3000);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form === queryForm) {
      event.preventDefault();
      runQuery();
    } else if (form.id === "token-form") {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, document.getElementById("token").value.trim());
      document.getElementById("token").value = "";
      look().then(() => say("The token is used until this window is closed."));
    } else if (form.dataset.part) {
      event.preventDefault();
      const parameters = new URLSearchParams(new FormData(form));
      show(`${form.action.split("#")[0]}?${parameters}`, form.dataset.part.split(" "));
    } else if ("job" in form.dataset) {
      event.preventDefault();
      startJob(new URLSearchParams(new FormData(form)));
    } else if ("download" in form.dataset && token()) {
      event.preventDefault();
      download(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)) });
    }
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.dataset.part) {
      event.preventDefault();
      show(link.href, link.dataset.part.split(" "), link.dataset.focus);
    } else if ("example" in link.dataset && queryBox) {
      event.preventDefault();
      queryBox.value = link.dataset.example;
      queryBox.focus();
    } else if ("download" in link.dataset && token()) {
      event.preventDefault();
      download(link.href);
    }
  });

  if (queryForm) {
    queryBox.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); runQuery(); }
    });
    document.getElementById("stop").addEventListener("click", () => running && running.abort());
    document.getElementById("run-job").addEventListener("click", () => startJob(
      new URLSearchParams({ REQUEST: "doQuery", LANG: "ADQL", PHASE: "RUN", QUERY: queryBox.value })));
  }
  window.addEventListener("unhandledrejection", (event) => say(`The service does not answer: ${event.reason.message}`));
  window.addEventListener("popstate", () => location.reload());
  // without a script the token is sent with the query
  document.getElementById("token")?.removeAttribute("form");
  offerNames();
  if (token()) look(); else watchJobs();
})();
