package device

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/devicefsm"
)

// learnVersions is how often a run takes over another version of the model of groups that it
// knows, at most: workers that have different ones may take turns.
const learnVersions = time.Hour

// learnGroups learns what models of groups the worker has that executes the run now. A run
// lasts for months, and records what it knows of groups when it begins.
func (d *run) learnGroups(ctx workflow.Context) {
	switch {
	case d.deleted:
	case d.newFeeds:
		d.newFeeds = false
		d.recordFeeds(ctx, func() []groupFeed { return d.groups.feedsOf(d.model) })
	case !d.follows(rulesGroups):
	case !d.begun:
		d.begun = true // with what its settings say
	case d.hasNews(ctx):
		known, versions := d.settings.Groups, d.takesVersions(ctx)
		d.recordFeeds(ctx, func() []groupFeed { return learned(known, d.groups.feedsOf(d.model), versions) })
		d.newIdentity = true
	}
}

// hasNews compares what the run knows with what its worker has. That is in the history once
// in a run, and then when there is something to learn.
func (d *run) hasNews(ctx workflow.Context) bool {
	versions, lessons := d.takesVersions(ctx), 0
	recorded := workflow.MutableSideEffect(ctx, "groups", func(workflow.Context) any {
		if isNews(d.settings.Groups, d.groups.feedsOf(d.model), versions) {
			return d.lessons + 1
		}
		return d.lessons
	}, func(a, b any) bool { return a == b })
	if err := recorded.Get(&lessons); err != nil {
		panic(fmt.Sprintf("device %s: read whether there is news of its groups: %v", d.state.Device, err)) // the task fails, and is tried again
	}
	if lessons == d.lessons {
		return false
	}
	d.lessons = lessons
	return true
}

func (d *run) takesVersions(ctx workflow.Context) bool {
	return workflow.Now(ctx).Sub(d.learnedAt) >= learnVersions
}

// recordFeeds records what groups hear of the device from now on.
func (d *run) recordFeeds(ctx workflow.Context, find func() []groupFeed) {
	var feeds []groupFeed
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return find() })
	if err := recorded.Get(&feeds); err != nil {
		panic(fmt.Sprintf("device %s: read what its groups hear of it: %v", d.state.Device, err)) // the task fails, and is tried again
	}
	d.knowGroups(workflow.Now(ctx), feeds)
}

// knowGroups takes over what is known of groups, of a run that begins or has learned. What
// the device is a member of already gets what it has not heard.
func (d *run) knowGroups(now time.Time, feeds []groupFeed) {
	d.settings.Groups, d.learnedAt = feeds, now
	if d.state.Outbox.Epoch == 0 && len(feeds) > 0 {
		d.state.Outbox.Epoch = now.UnixMilli()
	}
	if !d.follows(rulesGroups) || len(d.state.Groups) == 0 {
		return
	}
	groups := slices.Clone(d.state.Groups)
	for i := range groups {
		d.tellGroup(&groups[i], now)
	}
	d.state.Groups = groups
}

// tellGroup reports to a group what it does not know of the device, because the run before knew
// nothing of such groups, or because the group wants to hear more.
func (d *run) tellGroup(group *membership, now time.Time) {
	is := d.memberState()
	at := feedAt(d.settings.Groups, group.Kind)
	if at < 0 {
		if group.Heard == nil {
			group.Heard = &is
		}
		return
	}
	was := is
	if group.Heard != nil {
		was = *group.Heard
	}
	changes := d.changesBetween(was, is)
	feed := d.settings.Groups[at].Feed
	if told := group.Feed; told != nil {
		isNew := func(c devicefsm.Change) bool { return !told.Has(c) && !slices.Contains(changes, c) }
		changes = slices.Concat(changes, keep(d.present(), isNew))
	}
	group.Feed, group.Heard = &feed, nil
	d.reportAll(*group, changes, now)
}

// learnToLeave learns from the worker what it knows of groups of the device of which the run knows
// nothing: the device is about to leave them, or states that its next model does not have, and no
// later run could report that. What the run knows how to report is reported before.
func (d *run) learnToLeave() {
	if !d.follows(rulesLeaving) || len(d.unknownGroups()) == 0 {
		return
	}
	known := d.settings.Groups
	d.learnFeeds(func() []groupFeed { return learned(known, d.groups.feedsOf(d.model), false) })
}

// noteUntold is a fault for each group that does not hear of what the device has left, because the
// worker knows nothing of it either.
func (d *run) noteUntold(now time.Time) {
	if !d.follows(rulesLeaving) {
		return
	}
	for _, m := range d.unknownGroups() {
		d.notCarriedOut(now, fmt.Sprintf("group %s does not hear that the device has left it: this worker has no model of such groups", m.Kind.Word()+"/"+m.Name))
	}
}

// unknownGroups are those of which the run knows nothing.
func (d *run) unknownGroups() []membership {
	return slices.DeleteFunc(slices.Clone(d.state.Groups), func(m membership) bool { return feedAt(d.settings.Groups, m.Kind) >= 0 })
}

// keep are the changes of which it is true.
func keep(changes []devicefsm.Change, of func(devicefsm.Change) bool) []devicefsm.Change {
	return slices.DeleteFunc(changes, func(c devicefsm.Change) bool { return !of(c) })
}
