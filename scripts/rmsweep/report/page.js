// The page of a study: draws what the controls and the address say.
(async () => {
  const Z95 = 1.959963984540054;
  const LEAST_STEP = 5; // pixels from one mark to the next

  async function showFigures() {
    for (const image of document.querySelectorAll("img[data-packed]")) {
      const bytes = await (await unpack(image.dataset.packed)).arrayBuffer();
      image.src = URL.createObjectURL(new Blob([bytes], { type: image.dataset.kind }));
      await image.decode();
    }
  }

  await busy(async () => {
    const [vega, tables, text] = await Promise.all(
      ["packed-vega", "packed-tables", "packed-data"].map(unpackText),
    );
    run(vega);
    run(tables);
    start(JSON.parse(text));
    await showFigures();
  });

  function start(D) {
    const column = (place) => D.columns[place];
    const axisOf = Object.fromEntries(D.axes.map((axis, place) => [axis.name, { ...axis, place }]));
    const several = D.axes.filter((axis) => axis.levels.length > 1).map((axis) => axis.name);
    const inWords = (reason) => D.said[D.reasons.indexOf(reason)] ?? reason;
    for (const measure of D.measures) {
      // the difference of two percentages is none
      if (measure.kind === "rate" && measure.paired === "difference") measure.kind = "points";
    }
    const measureOf = Object.fromEntries(D.measures.map((measure) => [measure.name, measure]));
    const names = D.strategies.map((strategy) => strategy.name);
    const slope = Math.min(1, D.terms.length - 1);

    // ---- numbers and texts -------------------------------------------------------------------

    const level = (c, axis) => D.conditions[c][axisOf[axis].place];
    const header = (c, axis) => axisOf[axis].headers[level(c, axis)];
    const told = several.length ? several : D.axes.map((axis) => axis.name);
    const conditionText = (c) => told.map((axis) => axisOf[axis].spoken[level(c, axis)]).join(", ");

    // ---- the table of measures ---------------------------------------------------------------

    function wilson(share, n) {
      const z2 = Z95 * Z95;
      const centre = (share + z2 / (2 * n)) / (1 + z2 / n);
      const half = (Z95 / (1 + z2 / n)) * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
      // at an end the interval has it, which rounding would lose
      return [share === 0 ? 0 : centre - half, share === 1 ? 1 : centre + half];
    }

    // in words, why a value is not defined, where the table gives no reason
    function whyNot(measure, use, found, p, t) {
      if (found.reason || found.value !== null) return inWords(found.reason);
      if (!found.converged && use === "converged") return "no fit converged";
      if (found.used || !found.run) return "";
      const name = names[measure.paired ? D.pairs[p][0] : p];
      const one = measure.paired ? `${name} or ${names[D.pairs[p][1]]}` : name;
      return measure.terms.length ? `no fit of ${one} estimates ${D.terms[t]}` : "";
    }

    function cell(measure, use, c, p, t) {
      const size = measure.paired ? D.pairs.length : names.length;
      const at = (c * size + p) * Math.max(1, measure.terms.length && D.terms.length) +
        (measure.terms.length ? t : 0);
      const own = measure.fits[use] || measure.fits.all;
      const used = column(own.n)[at];
      if (used === null) return null;
      const same = own !== measure.fits.all && used === column(measure.fits.all.n)[at];
      const from = same ? measure.fits.all : own;
      const number = (name) => (name in from ? column(from[name])[at] : null);
      const reason = "reason" in own ? D.reasons[column(own.reason)[at] - 1] || "" : "";
      const found = { value: number("value"), mcse: number("mcse"), used, reason };
      found.planned = column(D.counts.planned)[c];
      found.run = column(D.counts.run)[c];
      const first = measure.paired ? D.pairs[p][0] : p;
      found.converged = column(D.counts.converged)[c * names.length + first];
      found.low = number("low");
      found.high = number("high");
      if (found.value === null || (reason && measure.form !== "given")) return found;
      const v = found.value;
      const n = measure.of === "run" ? found.run : used;
      if (measure.form === "rate") {
        found.mcse = Math.sqrt((v * (1 - v)) / n);
        [found.low, found.high] = wilson(v, n);
      } else if (measure.form === "score") {
        const variance = v * (1 - v);
        const certain = !found.mcse || !variance;
        [found.low, found.high] = wilson(v, certain ? n : variance / found.mcse ** 2);
      } else if (measure.form === "normal" && found.mcse !== null) {
        [found.low, found.high] = [v - Z95 * found.mcse, v + Z95 * found.mcse];
      }
      return found;
    }

    const COLUMNS = [
      ...D.axes.map((axis) => axis.name),
      ...["strategy", "reference", "term", "measure", "fits", "value", "mcse", "low", "high"],
      ...["n_planned", "n_run", "n_converged", "n_used", "reason"],
    ];

    // a comparison the other way round; the table has each pair once
    function turned(measure, found) {
      const { value, low, high } = found;
      if (measure.paired === "same") return found;
      const [of, slope] = {
        difference: [(x) => -x, 1],
        ratio: [(x) => 1 / x, 1 / value ** 2],
        gain: [(x) => 1e4 / (100 + x) - 100, 1e4 / (100 + value) ** 2],
      }[measure.paired];
      const ends = [high, low].map((it) => (it === null ? null : of(it)));
      const mcse = found.mcse === null ? null : found.mcse * slope;
      return { ...found, value: of(value), mcse, low: ends[0], high: ends[1] };
    }

    function record(measure, use, c, p, t, found, other = false) {
      const pair = measure.paired ? D.pairs[p] : [p, -1];
      const [first, second] = other ? [pair[1], pair[0]] : pair;
      const counts = [found.planned, found.run, found.converged, found.used];
      return [
        ...D.axes.map((axis, place) => axis.levels[D.conditions[c][place]]),
        ...[names[first], second < 0 ? "" : names[second]],
        ...[measure.terms.length ? D.terms[t] : "", measure.name, use],
        ...[found.value, found.mcse, found.low, found.high, ...counts, found.reason],
      ];
    }

    function* records(wanted) {
      const any = (key, value) => !(key in wanted) || wanted[key] === value;
      for (const measure of D.measures) {
        if (!any("measure", measure.name)) continue;
        const size = measure.paired ? D.pairs.length : names.length;
        for (const use of Object.keys(measure.fits)) {
          if (!any("fits", use)) continue;
          for (let c = 0; c < D.conditions.length; c += 1) {
            if (!D.axes.every((axis, i) => any(axis.name, axis.levels[D.conditions[c][i]])))
              continue;
            for (let p = 0; p < size; p += 1) {
              if (!any("strategy", names[measure.paired ? D.pairs[p][0] : p])) continue;
              for (const t of measure.terms.length ? measure.terms : [-1]) {
                // a measure of whole fits has no coefficient to choose
                if (t >= 0 && !any("term", D.terms[t])) continue;
                const found = cell(measure, use, c, p, t);
                if (found) yield record(measure, use, c, p, t, found);
              }
            }
          }
        }
      }
    }

    const save = (name, content, type) => download(`${D.study}-${name}`, content, type);

    // ---- the state, in the address -----------------------------------------------------------

    const used = new Set(D.measures.filter((measure) => available(measure)).map((it) => it.name));
    function available(measure) {
      return Object.values(measure.fits).some((own) =>
        column(own.value).some((value) => value !== null),
      );
    }

    function defaults() {
      // where nothing else is known, how the fits went is the first thing to see
      const first = [D.measures[0].name, "convergence_rate"].find((name) => used.has(name));
      return {
        m: first || D.measures[0].name,
        t: D.terms[slope] || "",
        x: D.places.x,
        c: D.places.columns || "",
        r: D.places.rows || "",
        u: "all",
        v: references.includes("lmer") ? "lmer" : references[0] || "",
        a: D.shown.map((place) => names[place]).join(","),
        k: "0",
        w: "error",
        y: "linear",
        ...Object.fromEntries(several.map((axis) => [`at.${axis}`, D.held[axis]])),
      };
    }

    // those that all others are compared with
    const references = names.filter(
      (_, place) =>
        D.pairs.length &&
        D.pairs.filter((pair) => pair.includes(place)).length === names.length - 1,
    );
    const allowed = {
      m: (value) => used.has(value),
      t: (value) => D.terms.includes(value),
      x: (value) => Object.hasOwn(axisOf, value),
      c: (value) => value === "" || several.includes(value),
      r: (value) => value === "" || several.includes(value),
      u: (value) => ["all", "converged"].includes(value),
      v: (value) => references.includes(value),
      a: (value) => value.split(",").every((name) => names.includes(name)),
      k: (value) => /^[0-9]{1,6}$/.test(value) && Number(value) < D.conditions.length,
      w: (value) => ["error", "se"].includes(value),
      y: (value) => ["linear", "log"].includes(value),
    };
    for (const axis of several) {
      allowed[`at.${axis}`] = (value) => axisOf[axis].levels.includes(value);
    }

    function stateOf(hash) {
      const state = defaults();
      for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
        if (Object.hasOwn(allowed, key) && allowed[key](value)) state[key] = value;
      }
      if (state.c === state.x) state.c = "";
      if (state.r === state.x || state.r === state.c) state.r = "";
      return state;
    }

    let S = stateOf(location.hash);

    function hashOf(state) {
      const start = defaults();
      const changed = Object.entries(state).filter(([key, value]) => value !== start[key]);
      return changed.length ? `#${new URLSearchParams(changed)}` : "";
    }

    function remember() {
      try {
        history.replaceState(null, "", hashOf(S) || location.href.replace(/#.*/s, ""));
      } catch {
        // a frame may not let its address be changed; the link can still be copied
      }
    }

    const chosen = () => S.a.split(",").map((name) => names.indexOf(name));

    // ---- controls ----------------------------------------------------------------------------

    const hidden = (id, away) => {
      byId(id).closest(".control").hidden = away;
    };
    const axisItems = (none) => [
      ...(none ? [{ value: "", text: "(none)" }] : []),
      ...several.map((name) => ({ value: name, text: axisOf[name].label })),
    ];

    function reasonOf(measure) {
      const places = Object.values(measure.fits).filter((own) => "reason" in own);
      const first = places.flatMap((own) => column(own.reason)).find((place) => place);
      return first ? D.said[first - 1] : "no fit says";
    }

    // a name is enough on a screen, where the controls say what it stands for
    const keyOf = (place) => {
      const { label, name } = D.strategies[place];
      const long = element("span", { className: "long" }, `: ${label}`);
      return [swatch(D.strategies[place], place), element("span", {}, name, long)];
    };

    function fillControls() {
      const measure = measureOf[S.m];
      options(
        byId("measure"),
        D.measures.map((it) => ({
          value: it.name,
          text: used.has(it.name) ? it.title : `${it.title} (${reasonOf(it)})`,
          group: it.group,
          disabled: !used.has(it.name),
        })),
        S.m,
      );
      const terms = measure.terms.map((t) => ({ value: D.terms[t], text: D.terms[t] }));
      if (terms.length && !terms.some((item) => item.value === S.t)) S.t = terms[0].value;
      if (!terms.length) terms.push({ value: "", text: "whole fit" });
      options(byId("term"), terms, measure.terms.length ? S.t : "");
      options(byId("x"), several.length ? axisItems(false) : [{ value: S.x, text: axisOf[S.x].label }], S.x);
      options(byId("columns"), axisItems(true), S.c);
      options(byId("rows"), axisItems(true), S.r);
      const uses = { all: "all with estimates", converged: "converged only" };
      options(
        byId("fits"),
        Object.keys(measure.fits).map((use) => ({ value: use, text: uses[use] })),
        S.u in measure.fits ? S.u : "all",
      );
      options(byId("reference"), references.map((it) => ({ value: it, text: it })), S.v);
      hidden("reference", !measure.paired);
      const positive = visible().every((point) => point.y > 0 && (point.low ?? point.y) > 0);
      const scales = [{ value: "linear", text: "linear" }];
      if (positive) scales.push({ value: "log", text: "logarithmic" });
      options(byId("scale"), scales, positive ? S.y : "linear");
      for (const axis of several) {
        const id = `at-${axis}`;
        options(
          byId(id),
          axisOf[axis].levels.map((value, i) => ({ value, text: axisOf[axis].headers[i] })),
          S[`at.${axis}`],
        );
        hidden(id, !isHeld(axis));
      }
      const now = new Set(S.a.split(","));
      for (const box of document.querySelectorAll("input[data-analysis]")) {
        box.checked = now.has(box.dataset.analysis);
      }
      for (const box of document.querySelectorAll("input[data-family]")) {
        const members = D.families[box.dataset.family].members.map((place) => names[place]);
        const on = members.filter((name) => now.has(name)).length;
        box.checked = on === members.length;
        box.indeterminate = on > 0 && on < members.length;
      }
      byId("condition").value = S.k;
      byId("replications-of").value = S.w;
    }

    function buildControls() {
      const held = byId("held");
      for (const axis of several) {
        held.append(
          element(
            "div",
            { className: "control" },
            element("label", { htmlFor: `at-${axis}`, textContent: axisOf[axis].label }),
            element("select", { id: `at-${axis}` }),
          ),
        );
      }
      const many = D.families.some((family) => family.members.length > 1) && names.length > 6;
      const boxes = byId("analyses");
      D.families.forEach((family, number) => {
        const group = element("div", { className: "family" });
        if (many) {
          group.setAttribute("role", "group");
          group.setAttribute("aria-label", family.label);
          const box = element("input", { type: "checkbox" });
          box.dataset.family = number;
          group.append(element("label", { className: "whole" }, box, family.label));
        }
        for (const place of family.members) {
          const strategy = D.strategies[place];
          const box = element("input", { type: "checkbox" });
          box.dataset.analysis = strategy.name;
          group.append(
            element(
              "label",
              { title: strategy.label },
              box,
              swatch(strategy, place),
              element("span", {}, `${strategy.label} (${strategy.name})`),
            ),
          );
        }
        boxes.append(group);
      });
      options(
        byId("condition"),
        D.conditions.map((_, c) => ({ value: String(c), text: conditionText(c) })),
        S.k,
      );
    }

    function change(key, value) {
      if (["x", "c", "r"].includes(key)) {
        // an axis that has another place swaps with what was here
        for (const other of ["x", "c", "r"]) {
          if (other !== key && value !== "" && S[other] === value) S[other] = S[key];
        }
      }
      S[key] = value;
      if (key.startsWith("at.")) reconcile(key.slice(3));
      else if (["x", "c", "r"].includes(key)) reconcile();
      remember();
      update();
    }

    const isHeld = (axis) => ![S.x, S.c, S.r].includes(axis);
    const levelText = (c, axis) => axisOf[axis].levels[level(c, axis)];

    // of a study that is not crossed, the other axes follow to where there is a condition
    function reconcile(changed) {
      const held = several.filter(isHeld);
      const fits = (c, axis) => levelText(c, axis) === S[`at.${axis}`];
      const agreement = (c) => held.filter((axis) => fits(c, axis)).length;
      const own = [...D.conditions.keys()].filter((c) => !changed || fits(c, changed));
      const best = own.reduce((a, b) => (agreement(b) > agreement(a) ? b : a));
      for (const axis of held) S[`at.${axis}`] = levelText(best, axis);
    }

    function listen() {
      const keys = { measure: "m", term: "t", x: "x", columns: "c", rows: "r", fits: "u" };
      Object.assign(keys, { reference: "v", scale: "y", condition: "k", "replications-of": "w" });
      for (const axis of several) keys[`at-${axis}`] = `at.${axis}`;
      for (const [id, key] of Object.entries(keys)) {
        byId(id).addEventListener("change", (event) => change(key, event.target.value));
      }
      byId("analyses").addEventListener("change", (event) => {
        const now = new Set(S.a.split(",").filter(Boolean));
        const { analysis, family } = event.target.dataset;
        const touched = analysis
          ? [analysis]
          : D.families[family].members.map((place) => names[place]);
        for (const name of touched) now[event.target.checked ? "add" : "delete"](name);
        // nothing at all is nothing to look at
        if (now.size) change("a", names.filter((name) => now.has(name)).join(","));
        else fillControls();
      });
      const step = (by) => () => {
        const size = D.conditions.length;
        change("k", String((Number(S.k) + by + size) % size));
      };
      byId("previous").addEventListener("click", step(-1));
      byId("next").addEventListener("click", step(1));
      addEventListener("hashchange", () => {
        if (location.hash && !location.hash.includes("=")) return; // a section's
        S = stateOf(location.hash);
        update();
      });
      for (const link of document.querySelectorAll("#findings a[href^='#']")) {
        link.addEventListener("click", () => byId("explore").scrollIntoView());
      }
      // the address stays that of the view
      byId("to-one").addEventListener("click", (event) => {
        event.preventDefault();
        byId("one").scrollIntoView();
      });
      for (const button of document.querySelectorAll("button.full")) {
        button.addEventListener("click", () => {
          const whole = button.closest("figure").classList.toggle("whole");
          button.textContent = whole ? "Fit to the screen" : "Full size";
        });
      }
      onNewWidth(update);
      byId("svg").addEventListener("click", async () =>
        save(`${S.m}.svg`, await exported(), "image/svg+xml"),
      );
      byId("png").addEventListener("click", async () => {
        const picture = new Image();
        const svg = await exported();
        await new Promise((resolve, reject) => {
          picture.onload = resolve;
          picture.onerror = reject;
          picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
        });
        const canvas = element("canvas", { width: 2 * picture.width, height: 2 * picture.height });
        const context = canvas.getContext("2d");
        context.scale(2, 2);
        context.drawImage(picture, 0, 0);
        canvas.toBlob((blob) => save(`${S.m}.png`, blob, "image/png"), "image/png");
      });
      byId("csv").addEventListener("click", () =>
        save(`${S.m}.csv`, csv(COLUMNS, visible().map((point) => point.record)), "text/csv"),
      );
      byId("link").addEventListener("click", () => {
        const field = byId("link-text");
        field.value = location.href.replace(/#.*/s, "") + hashOf(S);
        if (field.value.startsWith("data:")) field.value = hashOf(S) || "#";
        field.hidden = false;
        field.select();
        copy(field.value, byId("link"));
      });
    }

    // ---- charts ------------------------------------------------------------------------------

    const clone = (name) => structuredClone(D.specs[name]);

    // of the strategies that are chosen: the place in the table, the strategy, and whether the
    // table has the comparison the other way round
    function membersOf(measure) {
      const now = new Set(chosen());
      const reference = names.indexOf(S.v);
      if (!measure.paired) return [...now].map((place) => [place, place, false]);
      return D.pairs.flatMap(([one, two], p) => {
        if (two === reference && now.has(one)) return [[p, one, false]];
        return one === reference && now.has(two) ? [[p, two, true]] : [];
      });
    }

    // the points of the main chart, as the controls say
    function visible() {
      const measure = measureOf[S.m];
      const use = S.u in measure.fits ? S.u : "all";
      const held = several.filter(isHeld);
      const members = membersOf(measure);
      const t = measure.terms.length ? D.terms.indexOf(S.t) : -1;
      const points = [];
      for (let c = 0; c < D.conditions.length; c += 1) {
        if (held.some((axis) => levelText(c, axis) !== S[`at.${axis}`])) continue;
        for (const [p, place, other] of members) {
          const known = cell(measure, use, c, p, t);
          if (!known || known.value === null) continue;
          const found = other ? turned(measure, known) : known;
          const { value, mcse, low, high } = found;
          const said = shown(value, measure.kind);
          const error = mcse === null ? "none" : shown(mcse, measure.kind, 2);
          const [from, to] = [low, high].map((it) => shown(it, measure.kind, 3));
          const ends = low === null ? "none" : `${from} to ${to}`;
          // an error of zero would read as certainty
          const about = mcse === 0 && low !== null ? `95% interval ${ends}` : `MCSE ${error}`;
          points.push({
            ...{ c, place, low, high, found, y: value, analysis: names[place] },
            x: axisOf[S.x].levels[level(c, S.x)],
            ...{ column: S.c && header(c, S.c), row: S.r && header(c, S.r) },
            panel: [S.r, S.c].filter(Boolean).map((axis) => header(c, axis)).join(", "),
            ...{ condition: conditionText(c), value: said, mcse: error, ends },
            counts:
              `${whole(found.used)} used, ${whole(found.converged)} converged, ` +
              `${whole(found.run)} run, ${whole(found.planned)} planned`,
            said: `${names[place]}, ${conditionText(c)}: ${said} (${about})`,
            record: record(measure, use, c, p, t, found, other),
          });
        }
      }
      return points;
    }

    function titleOf(measure) {
      const of = measure.terms.length ? ` of ${S.t}` : "";
      const unit = measure.kind === "points" ? " (percentage points)" : "";
      return `${measure.title}${of}${measure.paired ? `, compared with ${S.v}` : ""}${unit}`;
    }

    function heldText() {
      const held = several.filter(isHeld);
      const text = (axis) => axisOf[axis].spoken[axisOf[axis].levels.indexOf(S[`at.${axis}`])];
      return held.map(text);
    }

    function captionOf(measure, points) {
      const counts = points.map((point) => point.found.used);
      const [least, most] = [Math.min(...counts), Math.max(...counts)];
      const n = least === most ? whole(least) : `${whole(least)} to ${whole(most)}`;
      const sentences = [];
      if (points.length) {
        sentences.push(`Each point is from ${n} ${most === 1 ? "dataset" : "datasets"} of one condition.`);
        const bars = {
          rate: "Bars are 95% Wilson intervals for Monte Carlo error.",
          score: "Bars are 95% score intervals for Monte Carlo error.",
          normal: "Bars are ±1.96 Monte Carlo standard errors (MCSE).",
          given: "Bars are 95% intervals for Monte Carlo error.",
        };
        sentences.push(bars[measure.form]);
      }
      if (measure.good) {
        // what is not drawn on this scale is not spoken of
        const good = isLog(points) ? measure.good.replace(/[;,] the grey band[^.]*(?=\.)/, "") : measure.good;
        sentences.push(good);
      }
      if ("converged" in measure.fits) {
        sentences.push(
          S.u === "converged"
            ? "Only converged fits are used."
            : "All fits that gave estimates are used, converged or not.",
        );
      }
      if (heldText().length) sentences.push(`Shown for ${listed(heldText())}.`);
      const missing = missingText(measure, points);
      if (missing) sentences.push(missing);
      if (axisOf[S.x].kind !== "text" && axisOf[S.x].levels.length > 2) {
        sentences.push("The levels along x are evenly spaced.");
      }
      return sentences.join(" ");
    }

    // whether a strategy estimates some coefficients only
    function leavesOut(name) {
      const measure = D.measures.find((it) => it.terms.length && !it.paired);
      const used = (c) =>
        measure.terms.map((t) => cell(measure, "all", c, names.indexOf(name), t)?.used || 0);
      return [...D.conditions.keys()].some((c) => used(c).includes(0) && used(c).some((n) => n));
    }

    function missingText(measure, points) {
      const there = new Set(points.map((point) => point.analysis));
      const now = chosen().map((place) => names[place]);
      const absent = now.filter((name) => !there.has(name) && !(measure.paired && name === S.v));
      const use = S.u in measure.fits ? S.u : "all";
      const reasons = new Map();
      for (const [p, place] of membersOf(measure)) {
        const t = measure.terms.length ? D.terms.indexOf(S.t) : -1;
        for (let c = 0; c < D.conditions.length; c += 1) {
          const found = cell(measure, use, c, p, t);
          const why = found && whyNot(measure, use, found, p, t);
          if (why && found.value === null) reasons.set(names[place], why);
        }
      }
      // those that have the same reason share a sentence
      const sharing = new Map();
      for (const [name, why] of reasons) {
        const which = absent.includes(name) ? "No values" : "Some values are missing";
        const key = JSON.stringify([which, why]);
        sharing.set(key, [...(sharing.get(key) || []), name]);
      }
      const said = [...sharing].map(([key, own]) => {
        const [which, why] = JSON.parse(key);
        const who = own.length > 1 && own.length === now.length ? "all strategies" : listed(own);
        return `${which} for ${who}: ${why}.`;
      });
      const silent = absent.filter((name) => !reasons.has(name));
      const partly = measure.terms.length ? [] : silent.filter(leavesOut);
      if (partly.length) {
        said.push(`No values for ${listed(partly)}: not every coefficient is estimated.`);
      }
      const others = silent.filter((name) => !partly.includes(name));
      if (others.length) said.push(`No values for ${listed(others)}.`);
      return said.join(" ");
    }

    function explorerSpec(points, { literal = false } = {}) {
      const measure = measureOf[S.m];
      const list = narrow() && !literal && Boolean(S.c || S.r);
      let spec = clone(list ? "list" : "grid");
      const width = literal ? 1000 : byId("explorer").clientWidth || 900;
      const present = (axis) => (axis ? axisOf[axis].headers : [""]);
      const [columns, rows] = [present(S.c), present(S.r)];
      const beside = list || !S.c ? 1 : columns.length;
      const panelWidth = Math.max(90, Math.floor((width - (list ? 64 : 100) - 14 * beside) / beside));
      const inner = spec.spec;
      const marks = axisOf[S.x].levels.length * new Set(points.map((point) => point.place)).size;
      const enough = Math.max(beside === 1 && !list ? 620 : 420, 8 * marks);
      // marks that would hide each other get room: then the chart scrolls
      inner.width = Math.max(Math.min(panelWidth, enough), LEAST_STEP * marks);
      inner.height = Math.max(120, Math.min(beside === 1 ? 280 : 220, Math.round(inner.width * 0.62)));
      dress(spec, D.strategies, literal);
      const log = isLog(points);
      // whole powers of ten would leave most panels empty
      const known = points.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]);
      if (log && measure.target > 0) known.push(measure.target);
      const ends = [0.97 * Math.min(...known), 1.03 * Math.max(...known)];
      const analysesHere = [...new Set(points.map((point) => point.place))].sort((a, b) => a - b);
      const format = { rate: "~%", percent: "~r", number: "~r", points: "~r" }[measure.kind];
      const headers = axisOf[S.x].levels;
      const crowded = headers.join("").length * 7.5 + 14 * headers.length > inner.width;
      // Vega warns of a ring around nothing
      const ringed = !literal && points.some((point) => point.c === Number(S.k));
      if (!ringed) inner.layer = inner.layer.filter((layer) => layer.mark.filled !== false);
      for (const layer of inner.layer) {
        const { x, y, xOffset } = layer.encoding;
        if (x) {
          x.scale = { domain: headers, paddingInner: 0.25, paddingOuter: 0.15 };
          x.axis = { ...x.axis, title: axisOf[S.x].title, labelAngle: crowded ? -45 : 0 };
          if (axisOf[S.x].kind !== "text") x.axis.labelExpr = "replace(datum.label, '-', '−')";
        }
        if (xOffset) {
          xOffset.scale = { domain: analysesHere.map((place) => names[place]), padding: 0.5 };
        }
        if (y) {
          y.scale = log ? { type: "log", domain: ends } : { zero: false, nice: true };
          y.axis = { title: null, format, tickCount: 5 };
          if (log) y.axis.values = ticksOf(ends);
          if (measure.kind === "percent") y.axis.labelExpr = "datum.label + '%'";
          if (measure.kind === "points") y.axis.labelExpr = "format(100 * datum.value, '~r')";
        }
        if (layer.mark.type === "point" && headers.length * analysesHere.length > inner.width / 9) {
          layer.mark.size /= 2;
        }
      }
      const all = [...points];
      const there = new Set(points.map((point) => `${point.row}|${point.column}`));
      for (const row of rows) {
        for (const of of columns) {
          if (there.has(`${row}|${of}`)) continue;
          const known = D.conditions.some(
            (_, c) =>
              several.filter(isHeld).every((axis) => levelText(c, axis) === S[`at.${axis}`]) &&
              (!S.r || header(c, S.r) === row) &&
              (!S.c || header(c, S.c) === of),
          );
          const why = known ? "no strategy|gave a|result here" : "not in|the study";
          const note = inner.width < 220 ? why : why.replaceAll("|", " ");
          const panel = [row, of].filter(Boolean).join(", ");
          all.push({ row, column: of, panel, note, x: headers[0], y: null });
        }
      }
      spec.datasets = {
        points: all.map(({ record: _, found: __, ...point }) => ({
          ...point,
          here: !literal && point.c === Number(S.k),
        })),
        band: measure.band && !log ? [{ low: measure.band[0], high: measure.band[1] }] : [],
        target: measure.target === null || (log && measure.target <= 0) ? [] : [{ y: measure.target }],
      };
      if (list) {
        spec.facet.sort = rows.flatMap((row) =>
          columns.map((of) => [row, of].filter(Boolean).join(", ")),
        );
      } else {
        if (S.r) spec.facet.row.sort = rows;
        else delete spec.facet.row;
        if (S.c) spec.facet.column.sort = columns;
        else delete spec.facet.column;
        if (!S.r && !S.c) {
          const { facet, spec: layers, ...others } = spec;
          spec = { ...others, ...layers };
        }
      }
      return spec;
    }

    const isLog = (points) =>
      S.y === "log" && points.every((point) => point.y > 0 && (point.low ?? 1) > 0);

    // of a logarithmic axis: few round numbers, but more than the powers of ten of a short one
    function ticksOf([low, high]) {
      const steps = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]];
      for (const own of steps) {
        const found = [];
        for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
          for (const step of own) found.push(Number(`${step}e${power}`));
        }
        const inside = found.filter((tick) => tick >= low && tick <= high);
        if (inside.length >= 4) return inside;
      }
      const size = 10 ** Math.floor(Math.log10((high - low) / 3));
      const step = [1, 2, 5].map((it) => it * size).filter((it) => (high - low) / it >= 3).at(-1);
      const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
      return Array.from({ length: count }, (_, k) => Number(((Math.ceil(low / step) + k) * step).toPrecision(6)));
    }

    // a figure that stands alone: title, caption, legend, the light colours
    async function exported() {
      const measure = measureOf[S.m];
      const points = visible();
      const spec = explorerSpec(points, { literal: true });
      spec.title = {
        text: titleOf(measure),
        subtitle: [
          ...wrapped(captionOf(measure, points), 150),
          `Study “${D.study}”, ${D.program}`,
        ],
      };
      const shown = D.strategies.filter((it) => points.some((point) => point.analysis === it.name));
      const texts = Object.fromEntries(shown.map((it) => [it.name, `${it.name}: ${it.label}`]));
      const longest = Math.max(0, ...Object.values(texts).map((text) => text.length));
      const legend = {
        ...{ values: Object.keys(texts), labelExpr: `${JSON.stringify(texts)}[datum.value]` },
        ...{ labelLimit: 0, columns: longest > 65 ? 1 : 2 },
      };
      for (const layer of layersOf(spec)) {
        for (const channel of [layer.encoding.color, layer.encoding.shape]) {
          if (channel?.scale) channel.legend = legend;
        }
      }
      const style = getComputedStyle(byId("paper"));
      const plain = JSON.stringify(spec).replace(/var\((--[a-z]+)\)/g, (_, name) =>
        style.getPropertyValue(name).trim(),
      );
      const away = element("div", { className: "away" });
      document.body.append(away);
      const made = await vegaEmbed(
        away,
        { ...prune(JSON.parse(plain)), background: "#ffffff" },
        { actions: false, ast: true, renderer: "svg" },
      );
      const svg = await made.view.toSVG();
      made.finalize();
      away.remove();
      return svg;
    }

    async function drawExplorer() {
      const measure = measureOf[S.m];
      const points = visible();
      byId("explorer-name").textContent = titleOf(measure);
      const compared = chosen().filter((place) => !(measure.paired && names[place] === S.v));
      byId("keys").replaceChildren(...compared.map((place) => element("li", {}, ...keyOf(place))));
      const view = await draw("explorer", explorerSpec(points));
      view.addEventListener("click", (_, item) => {
        const c = item?.datum?.c;
        if (c !== undefined) change("k", String(c));
      });
      byId("explorer-title").textContent = `${titleOf(measure)}.`;
      byId("explorer-caption").textContent = captionOf(measure, points);
      const k = Number(S.k);
      byId("explorer-chosen").hidden = !points.some((point) => point.c === k);
      byId("chosen").textContent = conditionText(k);
    }

    async function drawReplications(k, t) {
      const own = D.replications[S.w];
      const places = chosen();
      const what = { error: "Estimate − truth", se: "Standard error" }[S.w];
      const spec = dress(clone("replications"), D.strategies);
      const points = [];
      const boxes = [];
      let n = 0;
      for (const place of places) {
        const at = (k * names.length + place) * D.longest + t;
        const box = Object.fromEntries(
          ["n", "q1", "med", "q3", "whislo", "whishi"].map((it) => [it, column(own[it])[at]]),
        );
        n = Math.max(n, box.n || 0);
        if (box.n >= D.fewest) boxes.push({ analysis: names[place], ...box });
        const [low, high] = [column(own.low)[at], column(own.high)[at]];
        own.bytes ||= Uint8Array.from(atob(own.raw), (c) => c.charCodeAt(0));
        own.bytes.slice(at * D.raw, (at + 1) * D.raw).forEach((step, sim) => {
          if (step > D.steps) return;
          const y = low + ((high - low) * step) / D.steps;
          const jitter = ((sim * 0.618034 + 0.5) % 1) * 2 - 1;
          points.push({ analysis: names[place], y, sim, jitter, value: shown(y, "number", 2) });
        });
      }
      spec.width = Math.max(120, boxWidth("replications") - 80);
      spec.height = 260;
      const long = Math.max(...places.map((place) => names[place].length));
      const box = Math.min(40, (0.45 * spec.width) / places.length);
      for (const layer of layersOf(spec)) {
        const { x, y } = layer.encoding;
        if (layer.mark.type === "bar" || layer.mark.type === "tick") layer.mark.width = box;
        if (x) {
          x.scale = { domain: places.map((place) => names[place]) };
          x.axis.labelAngle = long * 7.5 * places.length > spec.width ? -45 : 0;
        }
        if (y) {
          y.axis = { title: `${what}, ${D.terms[t]}` };
          y.scale = { zero: false };
        }
      }
      spec.datasets = { points, boxes, target: S.w === "error" && points.length ? [{ y: 0 }] : [] };
      await draw("replications", spec);
      const all = n === 1 ? "the only replication" : `all ${whole(n)} replications`;
      const thinned = n > D.raw ? `the first ${whole(D.raw)} of ${whole(n)} replications` : all;
      const said = boxes.length
        ? `Points: ${thinned}. Boxes: quartiles and median of all of them, with whiskers to the last value within 1.5 interquartile ranges.`
        : `Points: ${thinned}, too few for boxes.`;
      byId("replications-title").textContent = `${what} of ${D.terms[t]}.`;
      const where = conditionText(k).replace(/^./, (letter) => letter.toUpperCase());
      const good = S.w === "error" ? " A good strategy scatters around zero, and little." : "";
      byId("replications-caption").textContent = n
        ? `${where}. ${said}${good}`
        : `${where}. No strategy gave a result here.`;
    }

    async function drawDataset(k, t) {
      const one = D.datasets[k];
      const there = Boolean(one?.terms);
      byId("dataset-figure").hidden = !there;
      if (!one) {
        byId("forest-figure").hidden = true;
        return;
      }
      const places = chosen();
      const constant = there ? one.terms.indexOf("Intercept") : -1;
      const predictor = t === constant ? (constant === 0 ? 1 : 0) : t;
      if (there) {
        const xs = one.x[predictor - 1];
        const ends = [Math.min(...xs), Math.max(...xs)];
        const line = (b) => {
          const at = (x) => (constant < 0 ? 0 : b[constant]) + b[predictor] * x;
          return { x: ends[0], x2: ends[1], y: at(ends[0]), y2: at(ends[1]) };
        };
        const whole_ = (b) => b[predictor] !== null && (constant < 0 || b[constant] !== null);
        const spec = dress(clone("dataset"), D.strategies);
        const of = (person) => xs.filter((_, i) => one.of[i] === person);
        spec.datasets = {
          points: xs.map((x, i) => ({ x, y: one.y[i] })),
          groups: one.own.map((b, person) => {
            const own = of(person);
            const span = [Math.min(...own), Math.max(...own)];
            const at = (x) => (constant < 0 ? 0 : b[constant]) + b[predictor] * x;
            return { x: span[0], x2: span[1], y: at(span[0]), y2: at(span[1]) };
          }),
          analyses: places
            .filter((place) => whole_(one.estimate[place]))
            .map((place) => ({ analysis: names[place], ...line(one.estimate[place]) })),
          truth: [line(one.truth)],
        };
        spec.width = Math.max(120, boxWidth("dataset") - 70);
        spec.height = 260;
        for (const layer of layersOf(spec)) {
          layer.encoding.x.axis = { title: one.terms[predictor] };
          layer.encoding.y.axis = { title: "Response (DV)" };
          layer.encoding.x.scale = layer.encoding.y.scale = { zero: false };
        }
        await draw("dataset", spec);
        const drawnGroups = one.own.length;
        const most = Math.max(...one.own.map((_, person) => of(person).length));
        const size = Math.max(...one.sizes);
        const groups =
          drawnGroups < one.groups ? `the first ${drawnGroups} of ${whole(one.groups)} groups` : `all ${drawnGroups} groups`;
        const rows = most < size ? `the first ${most} of ${whole(size)} observations of each` : "all their observations";
        byId("dataset-title").textContent = `Replication ${one.sim} of this condition.`;
        byId("dataset-caption").textContent =
          `Drawn: ${groups}, ${rows}. Grey: the groups’ true lines. Coloured: the strategies. ` +
          "Dashed: the true line." +
          (one.terms.length > 2 ? " Other predictors are at zero." : "");
      }
      const estimates = places
        .filter((place) => one.estimate[place][t] !== null && t < one.truth.length)
        .map((place) => {
          const numbers = ["estimate", "ci_low", "ci_high"].map((it) => one[it][place][t]);
          return estimateOf(names[place], ...numbers);
        });
      byId("forest-figure").hidden = !estimates.length;
      if (!estimates.length) return;
      await drawForest("forest", clone("forest"), D.strategies, estimates, {
        term: D.terms[t],
        names: places.map((place) => names[place]),
        truth: [one.truth[t]],
      });
      byId("forest-title").textContent = `Estimates of ${D.terms[t]} in replication ${one.sim}.`;
      const silent = places.filter((place) => !estimates.some((it) => it.analysis === names[place]));
      byId("forest-caption").textContent =
        "Bars: the 95% intervals that the strategies report. Dashed: the true value." +
        (silent.length ? ` No estimate: ${listed(silent.map((place) => names[place]))}.` : "");
    }

    function commandOf(k, script, further) {
      const one = D.datasets[k];
      const options_ = D.axes.map(
        (axis) => `--${axis.name.replaceAll("_", "-")} ${axis.levels[level(k, axis.name)]}`,
      );
      const sim = one ? one.sim : 0;
      return `python scripts/${script}.py --config ${D.config} ${options_.join(" ")} --sim ${sim} ${further}`;
    }

    async function drawCondition() {
      const k = Number(S.k);
      const measure = measureOf[S.m];
      let t = measure.terms.length ? D.terms.indexOf(S.t) : slope;
      if (t >= D.longest) t = slope; // a mean over coefficients is none of them
      byId("simulate").textContent = commandOf(k, "simulate_cell", "--output cell");
      byId("dataset-page").textContent = commandOf(k, "rerun_replication", "--html dataset.html");
      await drawReplications(k, t);
      await drawDataset(k, t);
    }

    let queue = Promise.resolve();
    function update() {
      fillControls();
      queue = queue.then(() => busy(async () => {
        await drawExplorer();
        await drawCondition();
      }));
    }

    // ---- tables ------------------------------------------------------------------------------

    const headersOf = (name) =>
      several.includes(name) ? axisOf[name].levels.map((it, i) => [it, axisOf[name].headers[i]]) : [];
    const ofAxis = (axis) => ({
      ...{ name: axis.name, title: axis.label },
      ...(axis.kind !== "text" && { type: "num", className: "number" }),
    });

    function performanceTable() {
      const title = { strategy: "Strategy", reference: "Compared with", term: "Coefficient" };
      Object.assign(title, { measure: "Measure", fits: "Fits", value: "Value", mcse: "MCSE" });
      Object.assign(title, { low: "95% from", high: "to", n_planned: "Planned", n_run: "Run" });
      Object.assign(title, { n_converged: "Converged", n_used: "Used", reason: "Why undefined" });
      const counts = ["value", "mcse", "low", "high", "n_planned", "n_run", "n_converged", "n_used"];
      filteredTable("performance", {
        ...{ filters: "filters", button: "csv-shown", file: `${D.study}-shown.csv` },
        columns: COLUMNS.map((name) => {
          if (name in axisOf) return ofAxis(axisOf[name]);
          if (counts.includes(name)) return numbers(name, title[name]);
          const said = (it) =>
            name === "measure" ? measureOf[it].title : name === "reason" ? inWords(it) : it;
          return { name, title: title[name], render: (it, way) => (way === "display" ? said(it) : it) };
        }),
        choices: {
          measure: D.measures.map((it) => [it.name, it.title]),
          strategy: names.map((name) => [name, name]),
          term: D.terms.map((term) => [term, term]),
          fits: [["all", "all with estimates"], ["converged", "converged only"]],
          ...Object.fromEntries(several.map((name) => [name, headersOf(name)])),
        },
        start: { measure: S.m, fits: "all", term: S.t },
        rows: records,
      });
      byId("csv-all").addEventListener("click", () =>
        save("performance.csv", csv(COLUMNS, records({})), "text/csv"),
      );
    }

    // the numbers of groups that a study with a power asks for
    function neededTable() {
      if (!D.needed) return;
      const { columns, rows } = D.needed;
      const at = Object.fromEntries(columns.map((name, place) => [name, place]));
      const bound = (row) => `${row[at.says].startsWith("more") ? ">" : "≤"} ${row[at.design]}`;
      const title = { strategy: "Strategy", n_groups: "Groups needed", low: "95% from", high: "to" };
      Object.assign(title, { design: "Design of", power: "Power", power_mcse: "its MCSE" });
      Object.assign(title, { size: "False positives", size_mcse: "its MCSE", says: "How found" });
      const rates = ["power", "power_mcse", "size", "size_mcse", "target"];
      const others = columns.filter((name) => name in axisOf && name !== "n_groups");
      const made = filteredTable("needed", {
        ...{ filters: "needed-filters", button: "needed-csv", file: `${D.study}-sample_sizes.csv` },
        columns: columns.map((name) => {
          if (name === "n_groups") {
            const render = (it, way, row) => (way !== "display" ? it : it === null ? bound(row) : whole(it));
            return { ...numbers(name, title[name]), render };
          }
          if (rates.includes(name)) return { ...numbers(name, title[name], "rate", 3), number: name in title };
          if (["low", "high", "design"].includes(name)) return numbers(name, title[name]);
          if (name in axisOf) return ofAxis(axisOf[name]);
          return { name, title: title[name] || "Coefficient", className: name === "says" ? "said" : "" };
        }),
        choices: {
          strategy: names.map((name) => [name, name]),
          ...Object.fromEntries(others.map((name) => [name, headersOf(name)])),
        },
        rows: (wanted) =>
          rows.filter((row) =>
            Object.entries(wanted).every(([name, value]) => String(row[at[name]]) === value),
          ),
      });
      addEventListener("beforeprint", () => made.page.len(100).draw());
    }

    function complaintsTable() {
      const table = byId("complaints");
      if (!table) return;
      const { rows, texts, messages } = D.complaints;
      const command = ([s, , c, sim]) =>
        [
          `python scripts/rerun_replication.py results/${D.study}/fits.parquet`,
          ...D.axes.map((axis, i) => `--${axis.name.replaceAll("_", "-")} ${axis.levels[D.conditions[c][i]]}`),
          `--sim ${sim} --strategy ${names[s]}`,
        ].join(" ");
      const made = new DataTable(table, {
        ...LAYOUT,
        data: rows,
        ...withHeads([
          { title: "Strategy", data: (row) => names[row[0]] },
          { title: "Cause", data: (row) => texts[row[1] + 1] },
          { title: "Condition", data: (row) => conditionText(row[2]) },
          { title: "Replication", data: (row) => row[3], type: "num", className: "number" },
          { title: "Message", data: (row) => messages[row[4]] || "–", render: DataTable.render.text() },
          {
            title: "Fit it again",
            data: command,
            orderable: false,
            render: (text, kind, row) => {
              if (kind !== "display") return text;
              const where = `${names[row[0]]}, ${conditionText(row[2])}, replication ${row[3]}`;
              const button = element("button", { type: "button", textContent: "Copy command" });
              button.setAttribute("aria-label", `Copy command: ${where}`);
              button.dataset.command = text;
              // else lines would end between the hyphens of an option
              const words = text.split(" ").flatMap((it) => [element("span", { textContent: it }), " "]);
              return element("span", { className: "command" }, element("code", {}, ...words), button);
            },
          },
        ]),
      });
      copyCommands(made);
    }

    // ---- theme, copying, printing ------------------------------------------------------------

    theme();
    buildControls();
    listen();
    update();
    performanceTable();
    neededTable();
    complaintsTable();
  }
})();
