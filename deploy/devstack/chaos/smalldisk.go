package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"devicetwin/deploy/devstack/process"
)

// smallDiskBytes is room for some minutes of what a fleet sends.
const smallDiskBytes = 16 << 20

// smallDisk is a file system of its own for one folder of a process, so small that
// it can be filled. It lives in memory, in a mount namespace of that process, which
// takes it along when it ends. That needs Linux, and root or the permission to make
// user namespaces.
type smallDisk struct{ dir string }

// wrap lets a command see the small disk in the folder. The process number stays
// the same: each program of the chain executes the next. The last but one
// sets the signal at the end of the parent again, which new rights have cleared.
func (d smallDisk) wrap(cmd *exec.Cmd) *exec.Cmd {
	const script = `mount -t tmpfs -o size="$1",mode=0700 tmpfs "$2" && shift 2 && exec setpriv --pdeathsig KILL "$@"`
	args := []string{"--mount", "sh", "-c", script, "sh", strconv.Itoa(smallDiskBytes), d.dir, cmd.Path}
	if os.Geteuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	wrapped := exec.Command("unshare", append(args, cmd.Args[1:]...)...)
	wrapped.Env, wrapped.Dir = cmd.Env, cmd.Dir
	return wrapped
}

// ballast is the file that fills the disk, as it is seen from outside.
func (d smallDisk) ballast(p *process.Process) string {
	return filepath.Join("/proc", strconv.Itoa(p.PID()), "root", d.dir, "ballast")
}

// fill fills the disk of a process that runs, to the last byte.
func (d smallDisk) fill(p *process.Process) error {
	file, err := os.OpenFile(d.ballast(p), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of %s: %w", p.Name, err)
	}
	defer file.Close()
	page := make([]byte, 4096)
	for written := 0; written <= smallDiskBytes; written += len(page) {
		if _, err := file.Write(page); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("fill the disk of %s: %w", p.Name, err)
		}
	}
	return fmt.Errorf("fill the disk of %s: %d bytes fit into it: it is another one", p.Name, smallDiskBytes)
}

// free makes room again.
func (d smallDisk) free(p *process.Process) error {
	if err := os.Remove(d.ballast(p)); err != nil {
		return fmt.Errorf("free the disk of %s: %w", p.Name, err)
	}
	return nil
}
