package main

import "fmt"

const gridWidth = 24

func newDashboard(uid, title, description, from string) *dashboard {
	return &dashboard{
		UID: "devicetwin-" + uid, Title: title, Description: description, Tags: []string{"devicetwin"},
		SchemaVersion: schemaVersion, Version: 1, Editable: true, GraphTooltip: 1, Refresh: "10s",
		Time: timeRange{from, "now"}, Timezone: "browser",
		Links:       []link{{Type: "dashboards", Title: "devicetwin", Tags: []string{"devicetwin"}, KeepTime: true}},
		Annotations: annotations{List: []annotation{}}, Templating: templating{List: []variable{}},
	}
}

// row puts panels side by side, as wide as they say, below those before.
func (d *dashboard) row(height int, panels ...panel) {
	x := 0
	for _, p := range panels {
		p.ID = len(d.Panels) + 1
		p.GridPos.X, p.GridPos.Y, p.GridPos.H = x, d.bottom, height
		x += p.GridPos.W
		d.Panels = append(d.Panels, p)
	}
	if x != gridWidth {
		panic(fmt.Sprintf("dashboard %s: a row of width %d, want %d", d.Title, x, gridWidth))
	}
	d.bottom += height
}

// panelID finds a panel by its title.
func (d *dashboard) panelID(title string) (int, error) {
	for _, p := range d.Panels {
		if p.Title == title {
			return p.ID, nil
		}
	}
	return 0, fmt.Errorf("dashboard %s has no panel %q", d.Title, title)
}

// choose adds a variable whose values a query finds. With all, several can be
// chosen, and all of them stand for anything.
func (d *dashboard) choose(name, label, description, query string, all bool) {
	v := variable{
		Name: name, Label: label, Description: description, Type: "query", Datasource: &influx,
		Query: query, Definition: query, Refresh: 2, Sort: 1, Options: []option{},
	}
	if all {
		v.Multi, v.IncludeAll, v.AllValue = true, true, ".*"
		v.Current = &option{Selected: true, Text: "All", Value: "$__all"}
	}
	d.Templating.List = append(d.Templating.List, v)
}

// ask adds a variable that is typed.
func (d *dashboard) ask(name, label, description, value string) {
	o := option{Selected: true, Text: value, Value: value}
	d.Templating.List = append(d.Templating.List, variable{
		Name: name, Label: label, Description: description, Type: "textbox", Query: value, Options: []option{o}, Current: &o,
	})
}

func newPanel(kind string, width int, title, unit, description string, queries []query) panel {
	p := panel{
		Type: kind, Title: title, Description: description, Datasource: influx, GridPos: gridPos{W: width},
		FieldConfig: fieldConfig{
			Defaults:  fieldDefaults{Unit: unit, Color: map[string]any{"mode": "palette-classic"}},
			Overrides: []override{},
		},
	}
	for i, q := range queries {
		format := "time_series"
		if q.table {
			format = "table"
		}
		p.Targets = append(p.Targets, target{
			RefID: string(rune('A' + i)), Datasource: influx, RawQuery: true, Query: q.text, Alias: q.alias, ResultFormat: format,
		})
	}
	return p
}

// stat shows the latest value, large.
func stat(width int, title, unit, description string, queries ...query) panel {
	p := newPanel("stat", width, title, unit, description, queries)
	p.Options = map[string]any{
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "value", "graphMode": "area", "textMode": "auto",
	}
	return p
}

// text makes a stat show a column of text or time, as it is.
func (p panel) text(column string) panel {
	p.Options["reduceOptions"] = map[string]any{"calcs": []string{"lastNotNull"}, "fields": "/^" + column + "$/", "values": false}
	p.Options["graphMode"] = "none"
	return p
}

// lines shows values over time.
func lines(width int, title, unit, description string, queries ...query) panel {
	p := newPanel("timeseries", width, title, unit, description, queries)
	p.FieldConfig.Defaults.Custom = map[string]any{"lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": 60_000}
	p.FieldConfig.Defaults.Min = new(float64)
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// stacked makes lines areas that add up.
func (p panel) stacked() panel {
	p.FieldConfig.Defaults.Custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	return p
}

// bars shows one bar for each interval: for what is counted and not a rate.
func (p panel) bars() panel {
	p.FieldConfig.Defaults.Custom["drawStyle"] = "bars"
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 80
	return p.stacked()
}

// steps keeps each value until the next.
func (p panel) steps() panel {
	p.FieldConfig.Defaults.Custom["lineInterpolation"] = "stepAfter"
	delete(p.FieldConfig.Defaults.Custom, "spanNulls")
	return p
}

// signed lets the axis begin below zero.
func (p panel) signed() panel {
	p.FieldConfig.Defaults.Min = nil
	return p
}

// table shows rows; the column Time is left out unless withTime.
func table(width int, title, description string, withTime bool, queries ...query) panel {
	p := newPanel("table", width, title, "short", description, queries)
	p.Options = map[string]any{"showHeader": true}
	hidden := map[string]bool{}
	if !withTime {
		hidden["Time"] = true
	}
	p.Transformations = []transformation{{"organize", map[string]any{
		"excludeByName": hidden, "indexByName": map[string]int{}, "renameByName": map[string]string{},
	}}}
	return p
}

// hide leaves a column of a table out: InfluxQL returns tags only together with a field.
func (p panel) hide(column string) panel {
	p.Transformations[0].Options["excludeByName"].(map[string]bool)[column] = true
	return p
}

// coloured gives colours from values on; red is where a person should act.
func (p panel) coloured(steps ...step) panel {
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	p.FieldConfig.Defaults.Thresholds = &thresholds{"absolute", append([]step{{Color: "green"}}, steps...)}
	return p
}

// marked draws the thresholds of coloured into a graph, whose lines keep their
// colours.
func (p panel) marked(steps ...step) panel {
	p = p.coloured(steps...)
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "line"}
	return p
}

func orange(from float64) step { return step{"orange", &from} }
func red(from float64) step    { return step{"red", &from} }

// unless gives the text for no value at all.
func (p panel) unless(text string) panel {
	p.FieldConfig.Defaults.NoValue = text
	return p
}

// mapped shows words for numbers.
func (p panel) mapped(words map[string]string, colours map[string]string) panel {
	options := map[string]any{}
	for value, word := range words {
		options[value] = map[string]any{"text": word, "color": colours[value]}
	}
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, map[string]any{"type": "value", "options": options})
	return p
}

// linked links the values of a column of a table; without a column, all values.
func (p panel) linked(column string, l link) panel {
	if column == "" {
		p.FieldConfig.Defaults.Links = append(p.FieldConfig.Defaults.Links, l)
		return p
	}
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{
		matcher{"byName", column}, []property{{"links", []link{l}}},
	})
	return p
}

// units gives a column of a table another unit.
func (p panel) units(column, unit string) panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{
		matcher{"byName", column}, []property{{"unit", unit}},
	})
	return p
}

// emptyMark begins the sentence of a panel's description that says why it may be
// empty; the test that runs all queries reads it.
const emptyMark = "Rightly empty: "

func (p panel) mayBeEmpty(why string) panel {
	p.Description += " " + emptyMark + why + "."
	return p
}
