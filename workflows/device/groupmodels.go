package device

import (
	"slices"
	"sync"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// GroupModels are the models of groups that a worker has, of which its devices may be
// members. Those of one kind are versions of each other, and a group is started with the
// first one. It may change while workflows run, and nil has none.
type GroupModels struct {
	mu     sync.Mutex
	models []*devicefsm.Model
	feeds  map[string][]groupFeed // by the hash of the member's model
}

// NewGroupModels are these models.
func NewGroupModels(models ...*devicefsm.Model) *GroupModels {
	g := &GroupModels{}
	g.Set(models...)
	return g
}

// Set replaces the models. What a run has learned of a group that is not among them any
// more, it forgets when it is continued as new.
func (g *GroupModels) Set(models ...*devicefsm.Model) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.models, g.feeds = slices.Clone(models), map[string][]groupFeed{}
}

// feedsOf is what the groups hear of a member. Nobody changes the result.
func (g *GroupModels) feedsOf(member *devicefsm.Model) []groupFeed {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	feeds, ok := g.feeds[member.Hash()]
	if !ok {
		feeds = feedsOf(g.models, member)
		g.feeds[member.Hash()] = feeds
	}
	return feeds
}

// groupFeed is what a run knows of the groups of one kind: it is recorded in the run.
type groupFeed struct {
	Kind device.Kind `json:"kind"`
	// Model is the hash of the model that a group is started with.
	Model string               `json:"model"`
	By    devicefsm.Membership `json:"by"`
	Feed  devicefsm.Feed       `json:"feed"`
}

// feedsOf derives what the groups of these models hear of a member. Models of one kind and
// one membership are versions of each other: a group may run any of them, and is started
// with the first one.
func feedsOf(groups []*devicefsm.Model, member *devicefsm.Model) []groupFeed {
	if _, isGroup := member.Members(); isGroup {
		return nil // groups are not members of groups
	}
	var feeds []groupFeed
	for _, g := range groups {
		by, ok := g.Members()
		if !ok {
			continue
		}
		feed := g.Feed(member)
		at := feedAt(feeds, g.Kind())
		switch {
		case at < 0:
			feeds = append(feeds, groupFeed{Kind: g.Kind(), Model: g.Hash(), By: by, Feed: feed})
		case feeds[at].By == by:
			feeds[at].Feed = feeds[at].Feed.Joined(feed)
		}
	}
	return feeds
}

// feedAt is the place of a kind, or -1.
func feedAt(feeds []groupFeed, kind device.Kind) int {
	return slices.IndexFunc(feeds, func(f groupFeed) bool { return f.Kind == kind })
}

// learned is what a run knows that knew something, and whose worker has these feeds. What it
// knew stays: while workers are upgraded, those with a model and those without it take turns,
// and the device is to report to its group throughout. Which model a group is started with,
// and who is a member, is taken over only if versions says so: workers may differ in it.
func learned(known, worker []groupFeed, versions bool) []groupFeed {
	all := slices.Clone(known)
	for _, f := range worker {
		at := feedAt(all, f.Kind)
		if at < 0 {
			all = append(all, f)
			continue
		}
		joined := all[at].Feed.Joined(f.Feed)
		if versions {
			all[at] = f
		}
		all[at].Feed = joined
	}
	return all
}

// isNews reports whether there is something to learn, as learned says.
func isNews(known, worker []groupFeed, versions bool) bool {
	return slices.ContainsFunc(worker, func(f groupFeed) bool {
		at := feedAt(known, f.Kind)
		return at < 0 || !known[at].Feed.Covers(f.Feed) || versions && (known[at].Model != f.Model || known[at].By != f.By)
	})
}
