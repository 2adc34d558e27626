package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
)

// Models is what the API needs of the registry of models. Its methods may be called from any
// goroutine. Their errors are those of a Backend's methods, ErrNoRegistry, or the faults
// of a model that is pushed, as source.Faults.
type Models interface {
	// Index is all that the registry knows, without the sources of the versions.
	Index(ctx context.Context) (ModelIndex, error)
	// Source is the text of a version, by its hash.
	Source(ctx context.Context, hash string) (string, error)
	// Change makes one change, once for each operation. A model that is pushed is checked before.
	Change(ctx context.Context, by device.By, change ModelChange) (ModelChanged, error)
	// Audit are the last changes, the newest first.
	Audit(ctx context.Context) ([]ModelRecord, error)
}

// ErrNoRegistry says that nobody has begun a registry of models.
var ErrNoRegistry error = device.Refuse(http.StatusConflict, "there is no registry of models; a worker with --model-registry begins it")

// ModelIndex is all that the registry of models knows, without the sources of the versions.
type ModelIndex struct {
	Revision uint64
	Models   []Model // by name
	Rules    ModelRules
}

// Model is a model of the registry with its versions.
type Model struct {
	Name     string         `json:"name" doc:"Name of the model."`
	Kind     string         `json:"kind" doc:"Kind of the entities that may run it."`
	Revision uint64         `json:"revision" doc:"Revision of the registry with the last change of this model, for If-Match."`
	Default  int            `json:"default" doc:"Number of the version with which new entities start, unless a rule names another one."`
	Versions []ModelVersion `json:"versions" doc:"Its versions, the oldest first."`
}

// ModelVersion is one version of a model, which never changes.
type ModelVersion struct {
	Version int       `json:"version" doc:"Number of the version, from 1; numbers are not used again."`
	Hash    string    `json:"hash" doc:"Hash of the model's canonical form."`
	File    string    `json:"file" doc:"Name of the file that it was read from."`
	Bytes   int       `json:"bytes" doc:"Size of its source."`
	At      time.Time `json:"at" doc:"When it was pushed."`
	Who     string    `json:"who,omitempty" doc:"Who pushed it."`
	Note    string    `json:"note,omitempty" doc:"Why."`
	// Devices is only counted for a model with all of its versions.
	Devices *int `json:"devices,omitempty" minimum:"0" doc:"Number of devices, and of other entities, that run it; absent unless they were to be counted."`
}

// ModelRules say with which models new entities start. A model in them is NAME, for its default
// version, NAME@VERSION, or a hash.
type ModelRules struct {
	Revision uint64                  `json:"revision" doc:"Revision of the registry with the last change of the rules, for If-Match."`
	Sources  map[string]SourceModels `json:"sources,omitempty" doc:"Rules of devices, by where their messages come from: mqtt, kafka."`
	Kinds    map[string]string       `json:"kinds,omitempty" doc:"Models of entities of other kinds, by kind."`
}

// SourceModels are the models of devices whose messages come from one source.
type SourceModels struct {
	Model string      `json:"model,omitempty" maxLength:"160" doc:"Model of devices that no rule matches; absent: they have none."`
	Rules []ModelRule `json:"rules,omitempty" maxItems:"100" doc:"The first rule whose pattern matches counts."`
}

// ModelRule is the model of the devices whose ids match a pattern.
type ModelRule struct {
	Pattern string `json:"pattern" minLength:"1" maxLength:"256" doc:"Pattern of ids, such as pump-*." example:"pump-*"`
	Model   string `json:"model" minLength:"1" maxLength:"160" doc:"NAME, NAME@VERSION or a hash." example:"pump"`
}

// ModelRecord is a change of the registry.
type ModelRecord struct {
	At       time.Time `json:"at" doc:"When it was made."`
	Who      string    `json:"who,omitempty" doc:"Who made it."`
	What     string    `json:"what" doc:"push, default, remove, rules, or seed: files of a process in an empty registry."`
	Model    string    `json:"model,omitempty" doc:"Name of the model; absent for rules."`
	Version  int       `json:"version,omitempty" doc:"Number of the version."`
	Hash     string    `json:"hash,omitempty" doc:"Hash of the version."`
	Note     string    `json:"note,omitempty" doc:"Why."`
	Revision uint64    `json:"revision" doc:"Revision of the registry after it."`
}

// ModelChange changes the registry in one way: the first of its pointers that is not nil.
type ModelChange struct {
	Note string // why
	// Expected is the revision of what is changed, a model or the rules; 0 for any.
	Expected uint64

	Push    *ModelFile
	Default *VersionOfModel
	Remove  *VersionOfModel
	Rules   *ModelRules // without the revision
}

// ModelFile is a model that is pushed.
type ModelFile struct {
	File   string // its name; that of the model, if its source does not say it
	Source string
}

// VersionOfModel is a version by its number.
type VersionOfModel struct {
	Model   string
	Version int
}

// ModelChanged is the result of a change.
type ModelChanged struct {
	Revision uint64 `json:"revision" doc:"Revision of what was changed, a model or the rules, for If-Match."`
	Model    string `json:"model,omitempty" doc:"Name of the model; absent for rules."`
	Version  int    `json:"version,omitempty" doc:"Number of the version."`
	Hash     string `json:"hash,omitempty" doc:"Hash of the version."`
	Created  bool   `json:"created" doc:"Whether something was changed: false if it was so already."`
}

// Find is the model of a name.
func (x ModelIndex) Find(name string) (Model, error) {
	i := slices.IndexFunc(x.Models, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return Model{}, device.Refuse(http.StatusNotFound, "there is no model %q", name)
	}
	return x.Models[i], nil
}

// minHashDigits is how many digits of a hash at least say which one it is.
const minHashDigits = 8

// Find is a version by its number, or by its hash, of which 8 digits are enough.
func (m Model) Find(version string) (ModelVersion, error) {
	number, err := strconv.Atoi(version)
	for _, v := range m.Versions {
		if err == nil && v.Version == number || len(version) >= minHashDigits && strings.HasPrefix(v.Hash, version) {
			return v, nil
		}
	}
	return ModelVersion{}, device.Refuse(http.StatusNotFound, "model %s has no version %s", m.Name, version)
}

// ModelParam is the model of a path. (What huma reads has to be exported.)
type ModelParam struct {
	Name string `path:"name" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9_.-]*[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$" patternDescription:"of a-z A-Z 0-9 _ . -" doc:"Name of the model."`
}

// ModelChangeParams are the parameters of every change of the registry.
type ModelChangeParams struct {
	Key     string `header:"Idempotency-Key" maxLength:"64" pattern:"^[!-~]*$" doc:"Repeat a request with the same key: the change is made once, and the first response is returned again, as long as the registry remembers the key. Another request with the key is refused (422)."`
	IfMatch string `header:"If-Match" maxLength:"32" doc:"Revision of what is changed, the model or the rules, such as \"7\"; without it any revision is changed." example:"\"7\""`
}

// maxModelBody is for a source of 256 KiB as a string of JSON, where a byte may need six: \u003e.
const maxModelBody = 6*256<<10 + 4<<10

func (s *Server) registerModels(api huma.API) {
	read := func(id, path, summary string) huma.Operation {
		op := s.operation(http.MethodGet, id, path, summary, ScopeRead)
		op.Errors = append(op.Errors, http.StatusConflict)
		return op
	}
	change := func(method, id, path, summary string) huma.Operation {
		op := s.operation(method, id, path, summary, ScopeAdmin)
		op.Errors = append(op.Errors, http.StatusConflict, http.StatusPreconditionFailed)
		return op
	}
	huma.Register(api, read("list-models", "/v1/models", "The models of the registry"), s.listModels)
	push := change(http.MethodPost, "push-model", "/v1/models", "Push a version of a model")
	push.MaxBodyBytes = max(push.MaxBodyBytes, maxModelBody)
	push.Errors = append(push.Errors, http.StatusRequestEntityTooLarge)
	huma.Register(api, push, s.pushModel)
	huma.Register(api, read("get-model", "/v1/models/{name}", "A model with its versions"), s.getModel)
	huma.Register(api, read("get-model-version", "/v1/models/{name}/versions/{version}", "A version of a model with its source"), s.getModelVersion)
	huma.Register(api, change(http.MethodPut, "set-default-model", "/v1/models/{name}/default", "Say with which version of a model new entities start"), s.setDefaultModel)
	huma.Register(api, change(http.MethodDelete, "remove-model-version", "/v1/models/{name}/versions/{version}", "Remove a version of a model that nothing runs"), s.removeModel)
	// Not below /v1/models/, where every name is that of a model.
	huma.Register(api, read("get-model-rules", "/v1/model-rules", "Which entities start with which model"), s.getModelRules)
	rules := change(http.MethodPut, "set-model-rules", "/v1/model-rules", "Replace the rules that say which entities start with which model")
	rules.Errors = append(rules.Errors, http.StatusRequestEntityTooLarge)
	huma.Register(api, rules, s.setModelRules)
	huma.Register(api, read("list-model-changes", "/v1/model-changes", "The last changes of the registry, the newest first"), s.listModelChanges)
}

// modelIndex asks the registry. The error is a problem.
func (s *Server) modelIndex(ctx context.Context) (ModelIndex, error) {
	if s.models == nil {
		return ModelIndex{}, s.problem(ctx, ErrNoRegistry)
	}
	index, err := s.models.Index(ctx)
	return index, s.problem(ctx, err)
}

// ModelSummary is a model in a list.
type ModelSummary struct {
	Name        string `json:"name" doc:"Name of the model."`
	Kind        string `json:"kind" doc:"Kind of the entities that may run it."`
	Revision    uint64 `json:"revision" doc:"Revision of the registry with the last change of this model."`
	Default     int    `json:"default" doc:"Number of the version with which new entities start, unless a rule names another one."`
	DefaultHash string `json:"default_hash" doc:"Hash of that version."`
	Newest      int    `json:"newest" doc:"Number of the newest version."`
	Versions    int    `json:"versions" doc:"Number of versions that are kept."`

	Running []RunningVersion `json:"running,omitempty" doc:"The versions that devices run, the oldest first; absent unless they were to be counted, or if there are none."`
}

// RunningVersion is how many devices run a version.
type RunningVersion struct {
	Version int `json:"version" doc:"Number of the version."`
	Devices int `json:"devices" minimum:"1" doc:"Number of devices, and of other entities, that run it."`
}

// CountingParam says that devices are to be counted. (What huma reads has to be exported.)
type CountingParam struct {
	Devices bool `query:"devices" doc:"Also count the devices, and other entities, that run each version: one request to Temporal for each."`
}

// ModelList is the models of the registry.
type ModelList struct {
	Revision uint64         `json:"revision" doc:"Revision of the registry, which counts its changes."`
	Models   []ModelSummary `json:"models" doc:"The models, by name."`
}

func (s *Server) listModels(ctx context.Context, in *CountingParam) (*body[ModelList], error) {
	index, err := s.modelIndex(ctx)
	if err != nil {
		return nil, err
	}
	if in.Devices {
		if err := s.countVersions(ctx, index.Models); err != nil {
			return nil, err
		}
	}
	list := ModelList{Revision: index.Revision, Models: []ModelSummary{}}
	for _, m := range index.Models {
		one := ModelSummary{Name: m.Name, Kind: m.Kind, Revision: m.Revision, Default: m.Default, Versions: len(m.Versions)}
		for _, v := range m.Versions {
			one.Newest = v.Version
			if v.Version == m.Default {
				one.DefaultHash = v.Hash
			}
			if v.Devices != nil && *v.Devices > 0 {
				one.Running = append(one.Running, RunningVersion{v.Version, *v.Devices})
			}
		}
		list.Models = append(list.Models, one)
	}
	return &body[ModelList]{list}, nil
}

// countersAtOnce is how many versions are counted at one time.
const countersAtOnce = 8

// countVersions counts the devices that run each version of the models. The error is a problem.
func (s *Server) countVersions(ctx context.Context, models []Model) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	room := make(chan struct{}, countersAtOnce)
	for i := range models {
		models[i].Versions = slices.Clone(models[i].Versions)
		for j := range models[i].Versions {
			v := &models[i].Versions[j]
			room <- struct{}{}
			all.Go(func() {
				defer func() { <-room }()
				n, err := s.backend.CountDevices(ctx, Term{Field: FieldModelHash, Value: v.Hash})
				if err != nil {
					cancel(err)
					return
				}
				v.Devices = &n
			})
		}
	}
	all.Wait()
	return s.problem(ctx, context.Cause(ctx))
}

type modelOutput struct {
	ETag string `header:"ETag" doc:"The revision of the model, for If-Match."`
	Body Model
}

type modelInput struct {
	ModelParam
	CountingParam
}

func (s *Server) getModel(ctx context.Context, in *modelInput) (*modelOutput, error) {
	index, err := s.modelIndex(ctx)
	if err != nil {
		return nil, err
	}
	m, err := index.Find(in.Name)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if in.Devices {
		counted := []Model{m}
		if err := s.countVersions(ctx, counted); err != nil {
			return nil, err
		}
		m = counted[0]
	}
	return &modelOutput{ETag: revisionTag(m.Revision), Body: m}, nil
}

func revisionTag(revision uint64) string { return strconv.Quote(strconv.FormatUint(revision, 10)) }

type modelVersionInput struct {
	ModelParam
	Version string `path:"version" minLength:"1" maxLength:"64" pattern:"^[0-9a-f]+$" patternDescription:"of 0-9 a-f" doc:"Number of the version, or its hash, of which the first 8 digits are enough."`
}

// ModelText is a version of a model with its source.
type ModelText struct {
	ModelVersion
	Model   string `json:"model" doc:"Name of the model."`
	Kind    string `json:"kind" doc:"Kind of the entities that may run it."`
	Default bool   `json:"default" doc:"New entities start with this version, unless a rule names another one."`
	Source  string `json:"source" doc:"Source of the version: YAML or JSON, as it was pushed."`
}

func (s *Server) getModelVersion(ctx context.Context, in *modelVersionInput) (*body[ModelText], error) {
	index, err := s.modelIndex(ctx)
	if err != nil {
		return nil, err
	}
	m, err := index.Find(in.Name)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	v, err := m.Find(in.Version)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	source, err := s.models.Source(ctx, v.Hash)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[ModelText]{ModelText{ModelVersion: v, Model: m.Name, Kind: m.Kind, Default: v.Version == m.Default, Source: source}}, nil
}

type modelChangedOutput struct {
	ETag string `header:"ETag" doc:"The revision of what was changed, for If-Match."`
	Body ModelChanged
}

// changeModels makes a change, and adds to its audit record.
func (s *Server) changeModels(ctx context.Context, params ModelChangeParams, change ModelChange) (*modelChangedOutput, error) {
	if s.models == nil {
		return nil, s.problem(ctx, ErrNoRegistry)
	}
	expected, err := readVersion(params.IfMatch)
	if err != nil {
		return nil, huma.Error400BadRequest(err.Error())
	}
	change.Expected = uint64(expected)
	remark(ctx, slog.String("note", change.Note))
	done, err := s.models.Change(ctx, operationBy(ctx, params.Key), change)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	remark(ctx, slog.Uint64("revision", done.Revision))
	if done.Model != "" {
		remark(ctx, slog.String("model", done.Model), slog.Int("version", done.Version), slog.String("hash", done.Hash))
	}
	return &modelChangedOutput{ETag: revisionTag(done.Revision), Body: done}, nil
}

type pushModelInput struct {
	ModelChangeParams
	Body struct {
		File   string `json:"file" minLength:"1" maxLength:"128" pattern:"^[^/\\\\\\x00-\\x1f\\x7f]+$" patternDescription:"without / and \\" doc:"Name of the file; the model has its name if the source has no model:." example:"pump.yaml"`
		Source string `json:"source" minLength:"1" maxLength:"262144" doc:"Source of the model: YAML or JSON, at most 256 KiB."`
		Note   string `json:"note,omitempty" maxLength:"512" doc:"Why; it is kept with the version."`
	}
}

func (s *Server) pushModel(ctx context.Context, in *pushModelInput) (*modelChangedOutput, error) {
	remark(ctx, slog.String("file", in.Body.File))
	return s.changeModels(ctx, in.ModelChangeParams, ModelChange{Note: in.Body.Note, Push: &ModelFile{File: in.Body.File, Source: in.Body.Source}})
}

type defaultModelInput struct {
	ModelParam
	ModelChangeParams
	Body struct {
		Version int    `json:"version" minimum:"1" doc:"Number of the version."`
		Note    string `json:"note,omitempty" maxLength:"512" doc:"Why; it is kept with the change."`
	}
}

func (s *Server) setDefaultModel(ctx context.Context, in *defaultModelInput) (*modelChangedOutput, error) {
	remark(ctx, slog.String("name", in.Name))
	return s.changeModels(ctx, in.ModelChangeParams, ModelChange{Note: in.Body.Note, Default: &VersionOfModel{in.Name, in.Body.Version}})
}

type removeModelInput struct {
	ModelParam
	ModelChangeParams
	Version int    `path:"version" minimum:"1" doc:"Number of the version."`
	Note    string `query:"note" maxLength:"512" doc:"Why; it is kept with the change."`
}

func (s *Server) removeModel(ctx context.Context, in *removeModelInput) (*modelChangedOutput, error) {
	remark(ctx, slog.String("name", in.Name))
	return s.changeModels(ctx, in.ModelChangeParams, ModelChange{Note: in.Note, Remove: &VersionOfModel{in.Name, in.Version}})
}

type modelRulesOutput struct {
	ETag string `header:"ETag" doc:"The revision of the rules, for If-Match."`
	Body ModelRules
}

func (s *Server) getModelRules(ctx context.Context, _ *struct{}) (*modelRulesOutput, error) {
	index, err := s.modelIndex(ctx)
	if err != nil {
		return nil, err
	}
	return &modelRulesOutput{ETag: revisionTag(index.Rules.Revision), Body: index.Rules}, nil
}

type setModelRulesInput struct {
	ModelChangeParams
	Body struct {
		Sources map[string]SourceModels `json:"sources,omitempty" doc:"Rules of devices, by where their messages come from: mqtt, kafka."`
		Kinds   map[string]string       `json:"kinds,omitempty" doc:"Models of entities of other kinds, by kind."`
		Note    string                  `json:"note,omitempty" maxLength:"512" doc:"Why; it is kept with the change."`
	}
}

func (s *Server) setModelRules(ctx context.Context, in *setModelRulesInput) (*modelChangedOutput, error) {
	rules := ModelRules{Sources: in.Body.Sources, Kinds: in.Body.Kinds}
	text, _ := json.Marshal(rules) // of strings
	remark(ctx, slog.String("rules", clipTo(string(text), maxRemark)))
	return s.changeModels(ctx, in.ModelChangeParams, ModelChange{Note: in.Body.Note, Rules: &rules})
}

// ModelChanges are changes of the registry.
type ModelChanges struct {
	Changes []ModelRecord `json:"changes" doc:"The changes, the newest first; the registry keeps the last 200."`
}

type modelChangesInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Maximum number of changes."`
}

func (s *Server) listModelChanges(ctx context.Context, in *modelChangesInput) (*body[ModelChanges], error) {
	if s.models == nil {
		return nil, s.problem(ctx, ErrNoRegistry)
	}
	records, err := s.models.Audit(ctx)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[ModelChanges]{ModelChanges{append([]ModelRecord{}, records[:min(in.Limit, len(records))]...)}}, nil
}

// ModelPath is the path of a model, or of what is below it.
func ModelPath(name string, below ...string) string {
	path := "/v1/models/" + url.PathEscape(name)
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// sourcePlace is where a fault of a model that is pushed is, in a problem document.
func sourcePlace(line, column int) string {
	if line == 0 {
		return "body.source"
	}
	return fmt.Sprintf("body.source:%d:%d", line, column)
}
