// A host of the raw ABI (docs/abi.md) in Go, by wazero: greedy decoding that leaves at a layer. wazero has
// no relaxed SIMD: take strict.wasm.
//
// UNTESTED: written against wazero 1.9's documentation, never compiled.
//
//	go mod init host && go get github.com/tetratelabs/wazero
//	go run . <strict.wasm> <image> <exit layer> <tokens> <prompt id,id,...>
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero"
)

const abiVersion = 3

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("main <strict.wasm> <image> <exit layer> <tokens> <id,id,...>")
	}
	ctx := context.Background()
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)
	module := must(runtime.Instantiate(ctx, must(os.ReadFile(os.Args[1]))))
	call := func(name string, args ...uint64) uint32 {
		return uint32(must(module.ExportedFunction(name).Call(ctx, args...))[0])
	}
	// Statuses are 0 or say what is wrong.
	check := func(status uint32) {
		if status != 0 {
			log.Fatalf("status %d: see docs/abi.md", status)
		}
	}
	if version := call("abiVersion"); version != abiVersion {
		log.Fatalf("ABI %d, wanted %d", version, abiVersion)
	}
	image := must(os.ReadFile(os.Args[2]))
	address := call("reserveImage", uint64(len(image)))
	if address == 0 || !module.Memory().Write(address, image) {
		log.Fatal("out of memory")
	}
	check(call("loadImage", 1))

	// The header's fields: docs/model-format.md. The engine has verified them.
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(image[at:]) }
	vocabSize, maxSeqLen, eos := u32(40), int(u32(44)), u32(72)
	exits := []int{}
	for i := range int(u32(76)) {
		exits = append(exits, int(u32(80+4*i)))
	}
	depth := must(strconv.Atoi(os.Args[3]))
	exit := slices.Index(exits, depth)
	if exit < 0 {
		log.Fatalf("no exit at layer %d; exits: %v", depth, exits)
	}

	// Runs tokens, at most maxBatch, at `position` and on; returns the likeliest next one.
	step := func(ids []uint32, position int) uint32 {
		for slot, id := range ids {
			check(call("embed", uint64(slot), uint64(id)))
		}
		for l := range depth {
			check(call("layer", 0, uint64(l), uint64(position), uint64(len(ids))))
		}
		check(call("head", uint64(exit), uint64(len(ids)-1)))
		logits, _ := module.Memory().Read(call("logits"), 4*vocabSize)
		best, top := uint32(0), float32(math.Inf(-1))
		for id := range vocabSize {
			if logit := math.Float32frombits(binary.LittleEndian.Uint32(logits[4*id:])); logit > top {
				best, top = id, logit
			}
		}
		return best
	}

	prompt := []uint32{}
	for _, id := range strings.Split(os.Args[5], ",") {
		prompt = append(prompt, uint32(must(strconv.Atoi(id))))
	}
	batch, next := int(call("maxBatch")), uint32(0)
	for at := 0; at < len(prompt); at += batch {
		next = step(prompt[at:min(at+batch, len(prompt))], at)
	}
	ids := []string{}
	for at := len(prompt); len(ids) < must(strconv.Atoi(os.Args[4])) && next != eos; at++ {
		ids = append(ids, fmt.Sprint(next))
		if at == maxSeqLen {
			break
		}
		next = step([]uint32{next}, at)
	}
	fmt.Println(strings.Join(ids, ","))
}
