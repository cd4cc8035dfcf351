"""The agent: its network, how it acts, and what it learns from a batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.atari import losses
from experiments.atari.config import Config
from experiments.atari.replay import rows as ring
from experiments.atari.replay.rows import Batch
from models import AtariQNetwork
from models.images import Features


class Learned(NamedTuple):
    """What a batch says about the weights, for each of n transitions."""

    losses: jax.Array  # (n,)
    td_errors: jax.Array  # (n,) of the values, also where those are distributions
    values: jax.Array  # (n,) of the actions that were taken


class Agent:
    """A value-based agent with the switches of a config, as pure functions.

    Args:
      config: of the run.
      observation_shape: height, width and channels.
      num_actions: how many actions there are.
      stack: frames that the replay puts together to an observation.
    """

    def __init__(
        self,
        config: Config,
        observation_shape: tuple[int, ...],
        num_actions: int,
        stack: int,
    ) -> None:
        self.config = config
        self.switches = config.switches
        self.observation_shape = observation_shape
        self.num_actions = num_actions
        self.stack = stack
        self._support = (
            losses.atoms(config.num_atoms, config.v_max)
            if self.switches.categorical
            else None
        )
        self._graphdef = nnx.graphdef(
            nnx.eval_shape(lambda: self._new_network(nnx.Rngs(0)))
        )

    def init(self, key: jax.Array) -> Any:
        """Fresh parameters."""
        return nnx.to_pure_dict(nnx.state(self._new_network(nnx.Rngs(key)), nnx.Param))

    def act(
        self,
        params: Any,
        observations: jax.Array,
        key: jax.Array,
        epsilon: jax.Array,
        *,
        evaluates: bool = False,
    ) -> jax.Array:
        """Actions: greedy, except for noise and for a random share.

        Args:
          params: of the network.
          observations: shape ``(n, height, width, channels)``, uint8.
          key: of this step.
          epsilon: share of random actions; a noisy agent that learns has none.
          evaluates: whether noise is left out.

        Returns:
          Actions, shape ``(n,)``, int32.
        """
        noise_key, chance_key, _ = jax.random.split(key, 3)
        outputs, _ = self._outputs(
            params, observations, None if evaluates else noise_key
        )
        greedy = losses.greedy_actions(self.values(outputs)).astype(jnp.int32)
        if self.switches.noisy and not evaluates:
            return greedy
        explores = jax.random.uniform(chance_key, greedy.shape) < epsilon
        return jnp.where(explores, self.random_actions(key, len(greedy)), greedy)

    def random_actions(self, key: jax.Array, num: int) -> jax.Array:
        """Actions of `act` if all are random, shape ``(num,)``, int32."""
        *_, action_key = jax.random.split(key, 3)
        return jax.random.randint(action_key, (num,), 0, self.num_actions)

    def learn(
        self, params: Any, target_params: Any, batch: Batch, key: jax.Array
    ) -> Learned:
        """Losses of a batch, to be differentiated by the parameters.

        Args:
          params: of the network that learns.
          target_params: of the target network.
          batch: n transitions.
          key: of the noise, which each pass through a network draws for itself.
        """
        own_key, target_key, choice_key = jax.random.split(key, 3)
        observations, following = ring.observations(batch, self.stack)
        if self.config.suite == "ale":
            # As bytes in the order of pixels; otherwise each reader converts them.
            observations, following = jax.lax.optimization_barrier(
                (observations, following)
            )
        returns, discounts = losses.n_step_returns(batch.rewards, batch.discounts)
        outputs, _ = self._outputs(params, observations, own_key)
        next_outputs, _ = self._outputs(target_params, following, target_key)
        choosing = (
            self._outputs(jax.lax.stop_gradient(params), following, choice_key)[0]
            if self.switches.double
            else next_outputs
        )
        next_actions = losses.greedy_actions(self.values(choosing))
        values = losses.of_actions(self.values(outputs), batch.actions)
        targets = losses.value_targets(
            returns, discounts, self.values(next_outputs), next_actions
        )
        td_errors = targets - values
        if self._support is None:
            own_losses = losses.huber_losses(td_errors)
        else:
            distributions = losses.project_distributions(
                self._support,
                jax.nn.softmax(losses.of_actions(next_outputs, next_actions)),
                returns,
                discounts,
            )
            own_losses = losses.cross_entropies(
                losses.of_actions(outputs, batch.actions), distributions
            )
        return Learned(own_losses, td_errors, values)

    def priorities(self, learned: Learned) -> jax.Array:
        """Priorities of transitions: losses of distributions, or errors of values."""
        if self._support is None:
            return jnp.abs(learned.td_errors)
        return learned.losses

    def features(self, params: Any, observations: jax.Array) -> Features:
        """Outputs of each layer but the last, without noise."""
        return self._outputs(params, observations, None)[1]

    def values(self, outputs: jax.Array) -> jax.Array:
        """Values of the actions from the network's outputs, shape ``(n, actions)``."""
        if self._support is None:
            return outputs
        return losses.expected_values(outputs, self._support)

    def _outputs(
        self, params: Any, observations: jax.Array, noise_key: jax.Array | None
    ) -> tuple[jax.Array, Features]:
        # Pixels are 0..255 in Atari, and 0 or 1 in MinAtar.
        largest = 255.0 if self.config.suite == "ale" else 1.0
        inputs = observations.astype(jnp.float32) / largest
        network: AtariQNetwork = nnx.merge(self._graphdef, params)
        return network.outputs_and_features(inputs, noise_key)

    def _new_network(self, rngs: nnx.Rngs) -> AtariQNetwork:
        config, switches = self.config, self.switches
        return AtariQNetwork(
            self.observation_shape,
            self.num_actions,
            torso="nature" if config.suite == "ale" else "minatar",
            num_atoms=config.num_atoms if switches.categorical else None,
            dueling=switches.dueling,
            noise_scale=config.noise_scale if switches.noisy else None,
            normalize=config.normalize,
            rngs=rngs,
        )
