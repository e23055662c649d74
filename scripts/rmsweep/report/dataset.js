// The page of one dataset: draws its rows and lines, and the estimates.
(async () => {
  await busy(async () => {
    const [vega, text] = await Promise.all(["packed-vega", "packed-data"].map(unpackText));
    run(vega);
    start(JSON.parse(text));
  });

  function start(D) {
    const names = D.strategies.map((it) => it.name);
    const clone = (name) => structuredClone(D.specs[name]);
    const S = {
      predictor: 0,
      view: D.panels_at_first ? "panels" : "lines",
      group: "",
      shown: new Set(D.shown),
    };

    const lineOf = (ends, more = {}) => {
      const [x, x2, y, y2] = ends;
      return { x, x2, y, y2, ...more };
    };
    const panelled = () => S.view === "panels" && D.predictors[S.predictor].within;
    // the groups that are drawn
    const drawnGroups = () => {
      const all = [...D.groups.keys()];
      if (!panelled()) return all;
      return S.group === "" ? all.slice(0, D.most_panels) : [Number(S.group)];
    };

    function fillControls() {
      const items = D.predictors.map(({ term }, place) => ({ value: String(place), text: term }));
      options(byId("predictor"), items, String(S.predictor));
      const { within } = D.predictors[S.predictor];
      const views = [
        { value: "panels", text: "a panel for each" },
        { value: "lines", text: "all in one panel" },
      ];
      options(byId("view"), within ? views : views.slice(1), panelled() ? "panels" : "lines");
      const groups = D.groups.map((text, place) => ({ value: String(place), text }));
      options(byId("group"), [{ value: "", text: "all groups" }, ...groups], S.group);
    }

    function listen() {
      for (const key of ["predictor", "view", "group"]) {
        byId(key).addEventListener("change", (event) => {
          S[key] = key === "predictor" ? Number(event.target.value) : event.target.value;
          update();
        });
      }
      D.strategies.forEach((strategy, place) => {
        if (!D.predictors.some((it) => it.analyses[place])) return;
        const box = element("input", { type: "checkbox", checked: S.shown.has(place) });
        box.addEventListener("change", () => {
          S.shown[box.checked ? "add" : "delete"](place);
          update();
        });
        const label = element("span", {}, strategy.name);
        byId("analyses-shown").append(element("label", {}, box, swatch(strategy, place), label));
      });
      onNewWidth(update);
    }

    function counted() {
      const groups = drawnGroups();
      const of = groups.length < D.n_groups ? ` of ${whole(D.n_groups)}` : "";
      const which = groups.length === 1 ? `group ${D.groups[groups[0]]}` : `${whole(groups.length)} groups`;
      const first = of && groups.length > 1 ? "the first " : "";
      const rows = D.y.length < D.n_rows ? ", the first rows of each" : "";
      return `Shown: ${first}${which}${of}${rows}.`;
    }

    async function drawRows() {
      const own = D.predictors[S.predictor];
      const width = boxWidth("rows");
      const groups = drawnGroups();
      const chosen = S.group === "" ? -1 : Number(S.group);
      const spec = dress(clone(panelled() ? "panels" : "dataset"), D.strategies);
      const points = (wanted) =>
        D.of.flatMap((g, i) => (wanted(g) ? [{ x: own.x[i], y: D.y[i], group: D.groups[g] }] : []));
      const lines = (wanted) =>
        groups.flatMap((g) =>
          wanted(g) && own.own[g] ? [lineOf(own.own[g], { group: D.groups[g] })] : [],
        );
      const there = new Set(groups);
      const common = {
        analyses: names.flatMap((analysis, place) =>
          S.shown.has(place) && own.analyses[place] ? [lineOf(own.analyses[place], { analysis })] : [],
        ),
        truth: own.truth ? [lineOf(own.truth)] : [],
      };
      const inner = spec.spec || spec;
      if (panelled()) {
        const panelWidth = groups.length === 1 ? 460 : 130;
        const beside = Math.max(1, Math.floor((width - 60) / (panelWidth + 10)));
        spec.columns = Math.min(beside, groups.length);
        spec.facet.sort = groups.map((g) => D.groups[g]);
        spec.datasets = {
          points: [...points((g) => there.has(g)), ...lines(() => true)],
          ...common,
        };
        inner.width = Math.min(panelWidth, width - 70);
        inner.height = groups.length === 1 ? 280 : 100;
      } else {
        spec.datasets = {
          ...{ points: points((g) => g !== chosen), groups: lines((g) => g !== chosen) },
          chosen_points: points((g) => g === chosen),
          chosen: lines((g) => g === chosen),
          ...common,
        };
        inner.width = Math.max(120, Math.min(860, width - 80));
        inner.height = Math.max(220, Math.min(420, Math.round(inner.width * 0.6)));
      }
      const small = panelled() && groups.length > 1;
      for (const layer of layersOf(spec)) {
        layer.encoding.x.axis = { title: small ? null : own.term, tickCount: small ? 3 : 8 };
        layer.encoding.y.axis = { title: null, tickCount: small ? 3 : 6 };
        layer.encoding.x.scale = layer.encoding.y.scale = { zero: false, nice: !small };
      }
      byId("rows-y").textContent = D.response;
      await draw("rows", spec);
      byId("rows-title").textContent = `${D.response} by ${own.term}.`;
      const look = panelled() ? "Without a colour" : "Grey";
      const sentences = [counted()];
      if (own.within) {
        sentences.push(`${look}: each group’s rows, and the least-squares line of ${own.term} in them.`);
      } else {
        sentences.push(`${own.term} is constant within groups, so they have no lines.`);
      }
      if (chosen >= 0 && !panelled()) sentences.push(`Thick: group ${D.groups[chosen]}.`);
      if (common.analyses.length) {
        const others = D.predictors.length > 1 ? ", other predictors at their means" : "";
        sentences.push(`Coloured: the strategies${others}. Lines that coincide hide each other.`);
      }
      if (common.truth.length) sentences.push("Dashed: the truth.");
      byId("rows-caption").textContent = sentences.join(" ");
    }

    async function drawForests() {
      for (const [place, one] of D.forests.entries()) {
        const there = one.estimates.map(([strategy, ...numbers]) =>
          estimateOf(names[strategy], ...numbers),
        );
        if (!there.length) continue;
        await drawForest(`forest-${place}`, clone("forest"), D.strategies, there, {
          ...{ term: one.term, names: there.map((it) => it.analysis) },
          ...{ truth: one.truth, zero: one.zero },
        });
      }
    }

    let queue = Promise.resolve();
    let width = 0;
    function update() {
      if (D.predictors.length) fillControls();
      queue = queue.then(() => busy(async () => {
        if (D.predictors.length) await drawRows();
        if (width !== root.clientWidth) await drawForests();
        width = root.clientWidth;
      }));
    }

    theme();
    if (D.predictors.length) listen();
    update();
  }
})();
