package migration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
)

// Names that workers, clients and people use.
const (
	WorkflowType  = "ModelMigration"
	idPrefix      = "model-migration:"
	QueryProgress = "progress" // answered with a Progress

	ActivityAnnounce = "migration.announce" // carries a Change
	ActivityList     = "migration.list"     // carries a ListRequest, answered with a Page
	ActivityMigrate  = "migration.migrate"  // carries a PageRequest, answered with a PageResult
)

// WorkflowID is the id of the workflow of a migration.
func WorkflowID(id string) string { return idPrefix + id }

const (
	pageSize = 100 // devices
	// runPages is how many pages a run goes through before it is continued as new.
	runPages = 200
	// lead is how long a migration waits after it was announced: for longer than any bridge goes by
	// what it knew before.
	lead = KnownFor + 15*time.Second
	// settle is how long search attributes are behind, at most, as a rule.
	settle = 5 * time.Second
	// maxPasses is how often the list is read.
	maxPasses = 5

	maxRefusals = 100 // that are named
	maxReasons  = 50  // that are counted
	maxImages   = 200

	// MaxRate is how many devices are moved in a second, at most.
	MaxRate = 1000
)

// Input starts a migration.
type Input struct {
	ID string `json:"id"`
	// Query is of which devices: a visibility query, "" is all. Only those are found that run From.
	Query string `json:"query,omitempty"`
	Words string `json:"words,omitempty"` // the query as it was asked for, for people
	// Device is the only one that is moved. It is not looked for: Query finds it alone, for workers
	// of earlier builds, which do not know Device.
	Device device.ID `json:"device,omitempty"`
	// Expected is what the plan makes of Device as it is when the migration is asked for.
	Expected *Expected `json:"expected,omitempty"`
	// Plan is a devicefsm.Plan as JSON.
	Plan  json.RawMessage `json:"plan"`
	Hash  string          `json:"hash"`  // of the plan
	Model string          `json:"model"` // the name of the model
	From  string          `json:"from"`  // hash of the old version
	To    string          `json:"to"`    // hash of the new one
	Who   string          `json:"who,omitempty"`
	Note  string          `json:"note,omitempty"`
	// Rate is how many devices are moved in a second, at most.
	Rate float64 `json:"rate"`
	// State is what the run before hands over; nil of a first run.
	State *State `json:"state,omitempty"`
}

// Expected is what a plan makes of one device.
type Expected struct {
	From string   `json:"from"` // the state's name before
	To   string   `json:"to"`   // and after
	Lost []string `json:"lost,omitempty"`
}

// Phases of a migration.
const (
	PhaseAnnounced = "announced" // bridges hear of it
	PhaseMoving    = "moving"
	PhaseDone      = "done"
	PhaseStopped   = "stopped" // before all devices had their turn
)

// Progress is how far a migration is.
type Progress struct {
	ID     string    `json:"id"`
	Words  string    `json:"query,omitempty"`
	Device device.ID `json:"device,omitempty"` // the only one that is moved
	// Expected is that of the Input. Workers of earlier builds leave it and Device out.
	Expected *Expected `json:"expected,omitempty"`
	Model    string    `json:"model"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Plan     string    `json:"plan"` // hash
	Who      string    `json:"who,omitempty"`
	Note     string    `json:"note,omitempty"`
	Rate     float64   `json:"rate"`
	Phase    string    `json:"phase"`
	Since    time.Time `json:"since"`           // of its beginning
	Begins   time.Time `json:"begins,omitzero"` // when the first device is moved, at the earliest
	Ended    time.Time `json:"ended,omitzero"`
	Pass     int       `json:"pass,omitempty"` // how often the list has been begun
	Report
}

// Report has the results.
type Report struct {
	Moved   int `json:"moved"`
	Already int `json:"already,omitempty"` // were moved by this plan before
	Gone    int `json:"gone,omitempty"`    // were deleted meanwhile
	// Refused are those that stayed as they were, in this pass or the last one.
	Refused int `json:"refused,omitempty"`
	// Images are from which states to which others devices were moved, the most frequent first; of
	// very many, the rest is not counted.
	Images []Image `json:"images,omitempty"`
	// Reasons count the refusals, the most frequent first, and Refusals are the first of them.
	Reasons  []Reason  `json:"reasons,omitempty"`
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Image is how many devices were moved from one configuration to another.
type Image struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Devices int       `json:"devices"`
	First   device.ID `json:"first"` // one of them
}

// Reason is why so many devices stayed as they were.
type Reason struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Devices int    `json:"devices"`
}

// Refusal is why one device stayed as it was.
type Refusal struct {
	Device  device.ID `json:"device"`
	Code    int       `json:"code"`
	Message string    `json:"message"`
}

// State is what one run hands to the next.
type State struct {
	Progress  Progress `json:"progress"`
	Cursor    []byte   `json:"cursor,omitempty"`
	Announced bool     `json:"announced,omitempty"`
	InPass    int      `json:"in_pass,omitempty"` // devices that were moved in this pass
}

// ListRequest asks for a page of devices.
type ListRequest struct {
	Query  string `json:"query,omitempty"`
	From   string `json:"from"` // hash of the model that they run
	Limit  int    `json:"limit"`
	Cursor []byte `json:"cursor,omitempty"`
}

// Page is a part of the devices.
type Page struct {
	Devices []device.ID `json:"devices"`
	Cursor  []byte      `json:"cursor,omitempty"` // nil at the end
}

// PageRequest has the devices of a page moved.
type PageRequest struct {
	Devices []device.ID     `json:"devices"`
	Plan    json.RawMessage `json:"plan"`
	Hash    string          `json:"hash"`
	Note    string          `json:"note,omitempty"`
	Who     string          `json:"who,omitempty"`
	// Key is the beginning of the idempotency keys.
	Key  string  `json:"key"`
	Rate float64 `json:"rate"`
}

// PageResult is the result of a page.
type PageResult struct {
	Moved    int       `json:"moved"`
	Already  int       `json:"already,omitempty"`
	Gone     int       `json:"gone,omitempty"`
	Images   []Image   `json:"images,omitempty"`
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Migrate is the workflow of one migration. Its result is its Progress at the end. It is stopped by
// cancelling it: devices that were moved stay moved.
func Migrate(ctx workflow.Context, in Input) (Progress, error) {
	if in.State == nil {
		in.State = &State{Progress: Progress{
			ID: in.ID, Words: in.Words, Device: in.Device, Expected: in.Expected, Model: in.Model, From: in.From, To: in.To, Plan: in.Hash, Who: in.Who, Note: in.Note, Rate: in.Rate,
			Phase: PhaseAnnounced, Since: workflow.Now(ctx),
		}}
	}
	s := in.State
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (Progress, error) { return s.Progress, nil }); err != nil {
		return Progress{}, fmt.Errorf("set the query handler of migration %s: %w", in.ID, err)
	}
	more, err := in.work(ctx)
	switch {
	case more:
		return Progress{}, workflow.NewContinueAsNewError(ctx, WorkflowType, in)
	case err != nil && !temporal.IsCanceledError(err):
		return Progress{}, err
	}
	s.Progress.Phase = PhaseDone
	if err != nil {
		s.Progress.Phase = PhaseStopped
	}
	last, _ := workflow.NewDisconnectedContext(ctx) // bridges hear of the end in any case
	if s.Announced {
		if err := in.announce(last, true); err != nil {
			return Progress{}, err
		}
	}
	s.Progress.Ended = workflow.Now(ctx)
	return s.Progress, nil
}

// work goes through the devices; more says that the run is long enough.
func (in *Input) work(ctx workflow.Context) (more bool, err error) {
	s := in.State
	p := &s.Progress
	if !s.Announced {
		s.Announced = true // it may be, from here on
		if err := in.announce(ctx, false); err != nil {
			return false, err
		}
		p.Begins = workflow.Now(ctx).Add(lead)
	}
	if wait := p.Begins.Sub(workflow.Now(ctx)); wait > 0 {
		if err := workflow.Sleep(ctx, wait); err != nil {
			return false, err
		}
	}
	p.Phase = PhaseMoving
	for pages := 0; ; pages++ {
		if pages >= runPages || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return ctx.Err() == nil, ctx.Err()
		}
		if s.Cursor == nil {
			if p.Pass > 0 {
				if in.Device != "" || p.Pass >= maxPasses || p.Pass > 1 && s.InPass == 0 {
					return false, nil
				}
				if err := workflow.Sleep(ctx, settle); err != nil {
					return false, err
				}
			}
			p.Pass++
			s.InPass = 0
			p.Refused, p.Reasons, p.Refusals = 0, nil, nil // those that are refused still are found again
		}
		if err := in.page(ctx); err != nil {
			return false, err
		}
	}
}

func activities(ctx workflow.Context, each time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: each, HeartbeatTimeout: 20 * time.Second, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
}

// announce says that the migration begins, or is over.
func (in *Input) announce(ctx workflow.Context, over bool) error {
	c := Change{ID: in.ID, Model: in.Model, From: in.From, To: in.To, Over: over, Device: in.Device}
	return workflow.ExecuteActivity(activities(ctx, time.Minute), ActivityAnnounce, c).Get(ctx, nil)
}

// page moves the devices of the next page.
func (in *Input) page(ctx workflow.Context) error {
	s := in.State
	p := &s.Progress
	var page Page
	if in.Device != "" {
		page.Devices = []device.ID{in.Device}
	} else {
		list := ListRequest{Query: in.Query, From: in.From, Limit: pageSize, Cursor: s.Cursor}
		if err := workflow.ExecuteActivity(activities(ctx, time.Minute), ActivityList, list).Get(ctx, &page); err != nil {
			return err
		}
	}
	if len(page.Devices) > 0 {
		var result PageResult
		each := 10*time.Minute + time.Duration(float64(2*len(page.Devices))/in.Rate*float64(time.Second))
		err := workflow.ExecuteActivity(activities(ctx, each), ActivityMigrate, PageRequest{
			Devices: page.Devices, Plan: in.Plan, Hash: in.Hash, Note: in.Note, Who: in.Who,
			Key: fmt.Sprintf("migration/%s/%d", in.ID, p.Pass), Rate: in.Rate,
		}).Get(ctx, &result)
		if err != nil {
			return err
		}
		s.InPass += result.Moved
		p.add(result)
	}
	s.Cursor = page.Cursor
	return ctx.Err()
}

// add adds the result of a page.
func (r *Report) add(page PageResult) {
	r.Moved += page.Moved
	r.Already += page.Already
	r.Gone += page.Gone
	for _, i := range page.Images {
		r.addImage(i)
	}
	slices.SortStableFunc(r.Images, func(a, b Image) int { return cmp.Compare(b.Devices, a.Devices) })
	for _, x := range page.Refusals {
		r.Refused++
		if len(r.Refusals) < maxRefusals {
			r.Refusals = append(r.Refusals, x)
		}
		r.addReason(x)
	}
	slices.SortStableFunc(r.Reasons, func(a, b Reason) int { return cmp.Compare(b.Devices, a.Devices) })
}

func (r *Report) addImage(i Image) {
	at := slices.IndexFunc(r.Images, func(have Image) bool { return have.From == i.From && have.To == i.To })
	switch {
	case at >= 0:
		r.Images[at].Devices += i.Devices
	case len(r.Images) < maxImages:
		r.Images = append(r.Images, i)
	}
}

func (r *Report) addReason(x Refusal) {
	at := slices.IndexFunc(r.Reasons, func(have Reason) bool { return have.Code == x.Code && have.Message == x.Message })
	switch {
	case at >= 0:
		r.Reasons[at].Devices++
	case len(r.Reasons) < maxReasons:
		r.Reasons = append(r.Reasons, Reason{Code: x.Code, Message: x.Message, Devices: 1})
	}
}

// Check refuses what cannot be a migration.
func (in *Input) Check() *device.Refused {
	switch {
	case in.ID == "" || in.Model == "" || in.From == "" || in.To == "" || in.Hash == "" || len(in.Plan) == 0:
		return device.Refuse(422, "the plan does not say from which version of which model it leads to which other one")
	case in.From == in.To:
		return device.Refuse(422, "the plan leads from a model to itself")
	case !(in.Rate > 0 && in.Rate <= MaxRate):
		return device.Refuse(422, "rate %v: expected more than 0 and at most %d devices a second", in.Rate, MaxRate)
	}
	return nil
}
