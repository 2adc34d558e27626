package main

// The parts of Grafana's dashboard JSON that are used here, in the form that
// schema version 36 has; newer Grafanas migrate it when they load it.
const schemaVersion = 36

type dashboard struct {
	UID           string            `json:"uid"`
	Title         string            `json:"title"`
	Description   string            `json:"description"`
	Tags          []string          `json:"tags"`
	SchemaVersion int               `json:"schemaVersion"`
	Version       int               `json:"version"`
	Editable      bool              `json:"editable"`
	GraphTooltip  int               `json:"graphTooltip"` // 1: one crosshair for all panels
	Refresh       string            `json:"refresh"`
	Time          map[string]string `json:"time"`
	Timezone      string            `json:"timezone"`
	Links         []link            `json:"links"`
	Annotations   list[annotation]  `json:"annotations"`
	Templating    list[variable]    `json:"templating"`
	Panels        []panel           `json:"panels"`

	bottom int // of the rows so far
}

type list[T any] struct {
	List []T `json:"list"`
}

// link is at the top of a dashboard, or on the values of a panel.
type link struct {
	Type        string   `json:"type,omitempty"` // dashboards or link
	Title       string   `json:"title"`
	URL         string   `json:"url,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	TargetBlank bool     `json:"targetBlank"`
	IncludeVars bool     `json:"includeVars,omitempty"`
	KeepTime    bool     `json:"keepTime,omitempty"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// influx is the data source that provisioning/datasources makes.
var influx = datasource{"influxdb", "devicetwin-influxdb"}

type annotation struct {
	Name       string           `json:"name"`
	Datasource datasource       `json:"datasource"`
	Enable     bool             `json:"enable"`
	IconColor  string           `json:"iconColor"`
	Target     annotationTarget `json:"target"`
}

type annotationTarget struct {
	RefID           string `json:"refId"`
	Query           string `json:"query"`
	QueryType       string `json:"queryType"`
	FromAnnotations bool   `json:"fromAnnotations"`
	RawQuery        bool   `json:"rawQuery"`
	TextColumn      string `json:"textColumn"`
	TagsColumn      string `json:"tagsColumn"`
}

type variable struct {
	Name        string      `json:"name"`
	Label       string      `json:"label"`
	Description string      `json:"description"`
	Type        string      `json:"type"` // query or textbox
	Datasource  *datasource `json:"datasource,omitempty"`
	Query       string      `json:"query"`
	Definition  string      `json:"definition,omitempty"`
	Regex       string      `json:"regex,omitempty"`
	Refresh     int         `json:"refresh,omitempty"` // 1: when the dashboard is loaded; 2: when the time range changes
	Sort        int         `json:"sort,omitempty"`
	Multi       bool        `json:"multi"`
	IncludeAll  bool        `json:"includeAll"`
	AllValue    string      `json:"allValue,omitempty"`
	Hide        int         `json:"hide"`
	Options     []option    `json:"options"`
	Current     *option     `json:"current,omitempty"`
}

type option struct {
	Selected bool   `json:"selected"`
	Text     string `json:"text"`
	Value    string `json:"value"`
}

type panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description"`
	Datasource      *datasource      `json:"datasource,omitempty"`
	GridPos         gridPos          `json:"gridPos"`
	FieldConfig     fieldConfig      `json:"fieldConfig"`
	Options         map[string]any   `json:"options"`
	Targets         []target         `json:"targets,omitempty"`
	Interval        string           `json:"interval,omitempty"` // the shortest bucket
	Repeat          string           `json:"repeat,omitempty"`   // for each value of a variable
	RepeatDirection string           `json:"repeatDirection,omitempty"`
	MaxPerRow       int              `json:"maxPerRow,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []override    `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string         `json:"unit"`
	Min        *float64       `json:"min,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color"`
	Thresholds *thresholds    `json:"thresholds,omitempty"`
	Mappings   []any          `json:"mappings,omitempty"`
	Links      []link         `json:"links,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // null: from the beginning
}

type override struct {
	Matcher struct {
		ID      string `json:"id"`
		Options string `json:"options"`
	} `json:"matcher"`
	Properties []property `json:"properties"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	RawQuery     bool       `json:"rawQuery"`
	Query        string     `json:"query"`
	Alias        string     `json:"alias,omitempty"`
	ResultFormat string     `json:"resultFormat"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}
