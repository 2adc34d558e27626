package main

import (
	"fmt"
	"slices"

	m "devicetwin/internal/measure"
)

const gridWidth = 24

func newDashboard(uid, title, description, from string) *dashboard {
	return &dashboard{
		UID: "devicetwin-" + uid, Title: title, Description: description, Tags: []string{"devicetwin"},
		SchemaVersion: schemaVersion, Version: 1, Editable: true, GraphTooltip: 1, Refresh: "10s",
		Time: map[string]string{"from": from, "to": "now"}, Timezone: "browser",
		Links:       []link{{Type: "dashboards", Title: "devicetwin", Tags: []string{"devicetwin"}, KeepTime: true}},
		Annotations: list[annotation]{[]annotation{}}, Templating: list[variable]{[]variable{}},
	}
}

// section begins a part of the dashboard that folds.
func (d *dashboard) section(title string) {
	d.Panels = append(d.Panels, panel{
		ID: len(d.Panels) + 1, Type: "row", Title: title, GridPos: gridPos{Y: d.bottom, W: gridWidth, H: 1},
		FieldConfig: fieldConfig{Overrides: []override{}}, Options: map[string]any{},
	})
	d.bottom++
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
// chosen, and all of them stand for anything; without, it is looked for when the
// dashboard is loaded only, so that a value that is not found stays.
func (d *dashboard) choose(name, label, description, query string, all bool) *variable {
	v := variable{
		Name: name, Label: label, Description: description, Type: "query", Datasource: &influx,
		Query: query, Definition: query, Refresh: 1, Sort: 1, Options: []option{},
	}
	if all {
		v.Refresh, v.Multi, v.IncludeAll, v.AllValue = 2, true, true, ".*"
		v.Current = &option{Selected: true, Text: "All", Value: "$__all"}
	}
	d.Templating.List = append(d.Templating.List, v)
	return &d.Templating.List[len(d.Templating.List)-1]
}

// each adds a hidden variable for a panel that is there once for each of its values.
func (d *dashboard) each(name, description, query, regex string) {
	v := d.choose(name, name, description, query, true)
	v.Hide, v.Regex, v.AllValue = 2, regex, ""
}

// ask adds a variable that is typed.
func (d *dashboard) ask(name, label, description, value string) {
	o := option{Selected: true, Text: value, Value: value}
	d.Templating.List = append(d.Templating.List, variable{
		Name: name, Label: label, Description: description, Type: "textbox", Query: value, Options: []option{o}, Current: &o,
	})
}

// kinds adds the variable of the kind of entities: what is typed, and devices if that is
// nothing, because points of devices have no tag for it.
func (d *dashboard) kinds() {
	d.ask(m.TagKind, "Kind (none: devices)", "Kind of the entities, such as customer; nothing for devices, .* for all kinds", "")
}

func newPanel(kind string, width int, title, unit, description string, queries []query) panel {
	p := panel{
		Type: kind, Title: title, Description: description, Datasource: &influx, GridPos: gridPos{W: width},
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

// plain is a colour that says neither well nor ill: green is for what is known to be
// well, and never for what is not known.
const plain = "text"

// stat shows a value, large; of several, each with its name.
func stat(width int, title, unit, description string, queries ...query) panel {
	p := newPanel("stat", width, title, unit, description, queries)
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "fixed", "fixedColor": plain}
	p.Options = map[string]any{
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "value", "graphMode": "none", "textMode": "auto",
	}
	return p.unless("No data")
}

// named shows the name of each value, also of a single one.
func (p panel) named() panel {
	p.Options["textMode"] = "value_and_name"
	return p
}

// text makes a stat show a column of text or time, as it is.
func (p panel) text(column string) panel {
	p.Options["reduceOptions"] = map[string]any{"calcs": []string{"lastNotNull"}, "fields": "/^" + column + "$/", "values": false}
	return p
}

// lines shows values over time. The axis of nothing but zeros ends at 1.
func lines(width int, title, unit, description string, queries ...query) panel {
	p := newPanel("timeseries", width, title, unit, description, queries)
	p.FieldConfig.Defaults.Custom = map[string]any{
		"lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": 90_000, "axisSoftMax": 1,
	}
	p.FieldConfig.Defaults.Min = new(float64)
	p.Interval = "30s" // of each process, more than one point is in a bucket
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

// bars shows one bar for each interval, of a minute at least: for what is counted and
// not a rate.
func (p panel) bars() panel {
	p.FieldConfig.Defaults.Custom["drawStyle"] = "bars"
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 80
	p.Interval = "1m"
	return p
}

// every is for what is written once in a minute or so.
func (p panel) every(interval string) panel {
	p.Interval = interval
	return p
}

// shares lets the axis end at 1, and begin where the lines are.
func (p panel) shares() panel {
	p.FieldConfig.Defaults.Min = nil
	p.FieldConfig.Defaults.Custom["axisSoftMin"] = .9
	return p
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
	delete(p.FieldConfig.Defaults.Custom, "axisSoftMax")
	return p
}

// repeated is the panel once for each value of a variable.
func (p panel) repeated(variable string, abreast int) panel {
	p.Repeat, p.RepeatDirection, p.MaxPerRow = variable, "h", abreast
	return p
}

// timeline shows text over time.
func timeline(width int, title, description string, queries ...query) panel {
	p := newPanel("state-timeline", width, title, "string", description, queries)
	p.Options = map[string]any{
		"mergeValues": true, "showValue": "auto", "rowHeight": 0.8,
		"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
	}
	return p
}

// places shows where devices are: a marker for each row that has numbers in one of the
// pairs of columns. The map under them is what Grafana is configured for.
func places(width int, title, description string, q query, pairs ...[2]string) panel {
	p := newPanel("geomap", width, title, "short", description, []query{q})
	var layers []any
	for _, columns := range pairs {
		layers = append(layers, map[string]any{
			"type": "markers", "name": columns[0], "tooltip": true,
			"location": map[string]any{"mode": "coords", "latitude": columns[0], "longitude": columns[1]},
			"config": map[string]any{"showLegend": false, "style": map[string]any{
				"size": map[string]any{"fixed": 5}, "color": map[string]any{"fixed": "blue"}, "opacity": .7,
				"symbol": map[string]any{"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
			}},
		})
	}
	p.Options = map[string]any{
		"view":    map[string]any{"id": "fit", "lat": 0, "lon": 0, "zoom": 12, "allLayers": true},
		"basemap": map[string]any{"type": "default", "name": "Map"}, "layers": layers,
		"controls": map[string]any{"showZoom": true, "mouseWheelZoom": true, "showAttribution": true},
		"tooltip":  map[string]any{"mode": "details"},
	}
	return p
}

// alerts lists what fires.
func alerts(width int, title, description string) panel {
	p := newPanel("alertlist", width, title, "short", description, nil)
	p.Datasource = nil
	p.Options = map[string]any{
		"viewMode": "list", "groupMode": "default", "groupBy": []string{}, "maxItems": 20, "sortOrder": 3, "dashboardAlerts": false,
		"alertName": "", "alertInstanceLabelFilter": "", "folder": nil,
		"stateFilter": map[string]bool{"firing": true, "pending": true, "error": true, "noData": true, "recovering": true, "normal": false},
	}
	return p
}

// table shows rows; the column Time is left out unless withTime. No column is narrower
// than what is in it.
func table(width int, title, description string, withTime bool, queries ...query) panel {
	p := newPanel("table", width, title, "short", description, queries)
	p.Options = map[string]any{"showHeader": true}
	p.FieldConfig.Defaults.Custom = map[string]any{"minWidth": 110}
	hidden := map[string]bool{}
	if withTime {
		p = p.override("byName", "Time", "custom.minWidth", 180)
	} else {
		hidden["Time"] = true
	}
	p.Transformations = []transformation{{"organize", map[string]any{
		"excludeByName": hidden, "indexByName": map[string]int{}, "renameByName": map[string]string{},
	}}}
	return p
}

// sorted puts the rows with the highest values of a column first.
func (p panel) sorted(column string) panel {
	p.Transformations = append(p.Transformations, transformation{"sortBy", map[string]any{
		"fields": map[string]any{}, "sort": []any{map[string]any{"field": column, "desc": true}},
	}})
	return p
}

// counted makes a table of how many rows have the same values of columns.
func (p panel) counted(what string, columns ...string) panel {
	fields := map[string]any{what: map[string]any{"operation": "aggregate", "aggregations": []string{"count"}}}
	for _, c := range columns {
		fields[c] = map[string]any{"operation": "groupby", "aggregations": []string{}}
	}
	p.Transformations = []transformation{
		{"groupBy", map[string]any{"fields": fields}},
		{"organize", map[string]any{"excludeByName": map[string]bool{}, "indexByName": map[string]int{},
			"renameByName": map[string]string{what + " (count)": "devices"}}},
	}
	return p.sorted("devices")
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
func (p panel) marked(steps ...step) panel { return p.coloured(steps...).drawn() }

// drawn is marked, with the thresholds that there are.
func (p panel) drawn() panel {
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "line"}
	return p
}

// atLeast is for what is bad when low.
func (p panel) atLeast(orangeFrom, greenFrom float64) panel {
	p = p.coloured(orange(orangeFrom), step{"green", &greenFrom})
	p.FieldConfig.Defaults.Thresholds.Steps[0].Color = "red"
	return p
}

// rated gives a column of a table the colours of atLeast.
func (p panel) rated(column string, orangeFrom, greenFrom float64) panel {
	steps := []step{{Color: "red"}, orange(orangeFrom), {"green", &greenFrom}}
	return p.override("byName", column, "thresholds", thresholds{"absolute", steps},
		"color", map[string]any{"mode": "thresholds"}, "custom.cellOptions", map[string]any{"type": "color-text"})
}

func orange(from float64) step { return step{"orange", &from} }
func red(from float64) step    { return step{"red", &from} }

// unless gives the text for no value at all, which has no colour; with missing it has.
func (p panel) unless(text string) panel { return p.missing(text, plain) }

func (p panel) missing(text, colour string) panel {
	p.FieldConfig.Defaults.NoValue = text
	none := map[string]any{"type": "special", "options": map[string]any{
		"match": "null+nan", "result": map[string]any{"text": text, "color": colour},
	}}
	rest := slices.DeleteFunc(p.FieldConfig.Defaults.Mappings, func(m any) bool { return m.(map[string]any)["type"] == "special" })
	p.FieldConfig.Defaults.Mappings = append([]any{none}, rest...)
	return p
}

// mapped shows words for the numbers 0 and 1.
func (p panel) mapped(zero, zeroColour, one, oneColour string) panel {
	p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, map[string]any{"type": "value", "options": map[string]any{
		"0": map[string]any{"text": zero, "color": zeroColour}, "1": map[string]any{"text": one, "color": oneColour},
	}})
	return p
}

// override gives series or columns other properties, in pairs.
func (p panel) override(matches, what string, properties ...any) panel {
	var o override
	o.Matcher.ID, o.Matcher.Options = matches, what
	for i := 0; i+1 < len(properties); i += 2 {
		o.Properties = append(o.Properties, property{properties[i].(string), properties[i+1]})
	}
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, o)
	return p
}

// linked links the values of a column of a table; without a column, all values.
func (p panel) linked(column string, l link) panel {
	if column == "" {
		p.FieldConfig.Defaults.Links = append(p.FieldConfig.Defaults.Links, l)
		return p
	}
	return p.override("byName", column, "links", []link{l})
}

// units gives a column of a table another unit.
func (p panel) units(column, unit string) panel {
	return p.override("byName", column, "unit", unit)
}

// emptyMark begins the sentence of a panel's description that says why it may be
// empty; the test that runs all queries reads it.
const emptyMark = "Rightly empty: "

func (p panel) mayBeEmpty(why string) panel {
	p.Description += " " + emptyMark + why + "."
	return p
}
